"""The automaton over characters, for text that grows: what is open at its end, and what was closed on the way.

A grammar is for whole texts (``syntax``); this reads any text in any state, once, and each character costs the
same however much came before.
"""

from __future__ import annotations

import re
from functools import lru_cache

from completion_server.lexicon.frames import Event, Frame, Kind
from completion_server.lexicon.rules import (
    CLOSER_OF,
    Atom,
    Block,
    BlockEnd,
    HereDocument,
    Hole,
    Lexicon,
    Rule,
    Tag,
    TagEnd,
    Text,
    compiled,
)
from completion_server.lexicon.table import language

_MAX_DEPTH = 400
_MAX_HERE_DOCUMENTS = 8
_MAX_UNFINISHED = 64
_MAX_INDENT = 200
_LONE_ANGLE = re.compile(r"[^\s<>=-]>(?=[\s;,)]|$)")
"""``>`` that compares nothing."""
_SET = Text("[", r"\[", end="]")
"""``[...]`` of a regular expression: the end of the expression is a plain character in it."""


class Scanner:
    """Reads text piece by piece.

    ``frames`` are open, the outermost first. ``closed`` are the closers of what was open, but for ``<``;
    ``foreign`` those of frames from before ``begin``, and those of nothing; ``errors`` the latter, and the places
    where something ended without a closer. ``unopened``: where something was closed and nothing at all was open.
    ``omitted``: elements that ended with the one around.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self.text = ""
        self.begin = 0
        self.frames: list[Frame] = []
        self.closed: list[Event] = []
        self.foreign: list[Event] = []
        self.errors: list[Event] = []
        self.unopened: set[int] = set()
        self.omitted: list[Frame] = []
        self._at = 0
        self._here_documents: list[Frame] = []
        self._clean: set[int] = set()  # line ends where nothing is open

    def fork(self) -> Scanner:
        """Another one that goes on from here; what is open now was opened by others."""
        fork = Scanner(self.lexicon)
        fork.text, fork._at = self.text, self._at
        fork.begin = len(self.text)
        fork.frames, fork._here_documents = self.frames[:], self._here_documents[:]
        return fork

    @property
    def inside(self) -> str:
        """What ends the string or comment that the text is in at its end ("\\n": the line end), "" in code."""
        frame = self._text_frame()
        return "" if frame is None else frame.closer or "\n"

    @property
    def text_kind(self) -> str:
        """``string`` or ``comment`` if the end of the text is in one, else ""."""
        frame = self._text_frame()
        return frame.rule.kind if frame is not None and isinstance(frame.rule, Text) else ""

    @property
    def stack(self) -> list[str]:
        """The brackets that are open, and the holes."""
        return [frame.opener for frame in self.frames if frame.kind in (Kind.BRACKET, Kind.HOLE)]

    @property
    def unmatched(self) -> list[int]:
        """Where something is closed that the text did not open."""
        return [event.at for event in self.foreign]

    def _text_frame(self) -> Frame | None:
        return self.frames[-1] if self.frames and self.frames[-1].kind is Kind.TEXT else None

    def extend(self, text: str) -> None:
        """Read on to the end of ``text``, which begins with what was read before.

        What may yet become a longer delimiter waits.
        """
        self._read(text, is_all=False)

    def finish(self) -> None:
        """Read what was waiting: no more text comes."""
        self._read(self.text, is_all=True)

    def is_clean_at(self, line_end: int) -> bool:
        """Whether nothing was open at the line end at offset ``line_end``, if that was read."""
        if line_end < self._at:
            return line_end in self._clean
        # Not read yet, so it is the next character to be read: a line comment or a simple string ends there.
        return all(_ends_with_line(frame) for frame in self.frames)

    def _read(self, text: str, *, is_all: bool) -> None:
        self.text = text
        while self._at < len(text):
            frame = self.frames[-1] if self.frames else None
            if frame is not None and isinstance(frame.rule, Text):
                has_moved = self._step_text(frame, frame.rule, is_all)
            else:
                has_moved = self._step_code(frame, is_all)
            if not has_moved:
                return

    # Code

    def _step_code(self, frame: Frame | None, is_all: bool) -> bool:
        lexicon, outer = (self.lexicon, "") if frame is None else (frame.lexicon, frame.outer)
        text = self.text
        mark = lexicon.marks(outer[:1]).search(text, self._at)
        if mark is None:
            self._at = len(text)
            return True
        at = self._at = mark.start()
        char = text[at]
        if outer and char == outer[0] and not (frame and frame.kind is Kind.BRACKET and frame.closer == char):
            if text.startswith(outer, at):
                self._at = at + len(outer)
                self._close(at, outer)
                return True
            if not is_all and outer.startswith(text[at:]):
                return False
        rules = lexicon.rules_at.get(char, ())
        if not is_all and any(_is_unfinished(rule, text, at) for rule in rules):
            return False
        for rule in rules:
            if (found := rule.match(text, at)) is not None:
                self._at = max(found.end(), at + 1)
                self._enter(rule, found, lexicon, outer)
                return True
        return self._step_bracket(char, at, lexicon, is_all)

    def _step_bracket(self, char: str, at: int, lexicon: Lexicon, is_all: bool) -> bool:
        if char in "<>;&|" and lexicon.angle_after:
            if char in "<>" and at + 1 == len(self.text) and not is_all:
                return False
            self._step_angle(char, at, lexicon)
        elif char in "\r\n":
            self._at = at + 1
            self._end_line(at)
            return True
        elif char in lexicon.brackets:
            if char == "{" and "{" not in lexicon.angle_inside:
                self._drop_angles()
            self._push(Kind.BRACKET, char, CLOSER_OF[char], at, lexicon)
        elif char in lexicon.closers:
            self._close(at, char)
        self._at = at + 1
        return True

    def _step_angle(self, char: str, at: int, lexicon: Lexicon) -> None:
        text = self.text
        if char == "<":
            inner = text[at + 1 : at + 2]
            is_type = inner in lexicon.angle_inside or inner.isalpha() or inner == "_"
            if is_type and compiled(lexicon.angle_after).search(text[max(at - 48, 0) : at]):
                self._push(Kind.ANGLE, "<", ">", at, lexicon)
        elif not (self.frames and self.frames[-1].kind is Kind.ANGLE):
            if char == ">" and (found := _LONE_ANGLE.match(text, at - 1 if at else 0)):
                self.errors.append(Event(found.end() - 1, ">"))
        elif char == ">" and text[at - 1] not in "-=":
            frame = self.frames.pop()
            if frame.at < self.begin <= at:
                self.foreign.append(Event(at, ">"))
        elif char == ";" or (char in "&|" and text[at - 1] == char):
            self._drop_angles()

    def _drop_angles(self) -> None:
        while self.frames and self.frames[-1].kind is Kind.ANGLE:
            self.frames.pop()

    def _end_line(self, at: int) -> None:
        text = self.text
        written = text[max(at - 16, 0) : at].rstrip("\\ \t\r\n")[-1:]
        while self.frames and (frame := self.frames[-1]).kind is Kind.ANGLE:
            if written in ("<", ",", "|", "&") or text[frame.at + 1 : frame.at + 2] in "\r\n":
                break
            self.frames.pop()
        if len(self.frames) > 1 and self.frames[-1].kind is Kind.HOLE and _ends_with_line(self.frames[-2]):
            # A hole in a string of one line, and nothing in it goes on.
            self.errors.append(Event(at, self.frames[-2].closer))
            del self.frames[-2:]
        if not self.frames:
            self._clean.add(at)
        waiting, self._here_documents = self._here_documents, []
        for frame in reversed(waiting):
            self._append(frame)
        if waiting:
            self._at = at  # the line end may be that before the end of the text

    def _enter(self, rule: Rule, found: re.Match[str], lexicon: Lexicon, outer: str) -> None:
        at = found.start()
        if isinstance(rule, Text):
            frame = Frame(Kind.TEXT, found.group(), rule.end_for(found), at, lexicon, rule, outer)
            if isinstance(rule, HereDocument):
                self._here_documents = [*self._here_documents, frame][-_MAX_HERE_DOCUMENTS:]
            else:
                self._append(frame)
        elif isinstance(rule, Hole):
            inner = language(rule.language) if rule.language else self.lexicon
            self._append(Frame(Kind.HOLE, found.group(), rule.end, at, inner, None, rule.end))
        elif isinstance(rule, Block):
            self._push(Kind.BLOCK, found.group(), found.expand(rule.end), at, lexicon)
        elif isinstance(rule, BlockEnd):
            self._close(at, found.group())
        elif isinstance(rule, Tag) and lexicon.markup is not None:
            name = found.group(1) if found.lastindex else ""
            self._push(Kind.TAG, "<" + name, ">", at, language(lexicon.markup.tag))
            if found.group().endswith(">"):  # "<>"
                self._at -= 1
        elif isinstance(rule, TagEnd):
            self._close(at, found.group(), f"</{found.group(1)}>")
        else:
            assert isinstance(rule, Atom)
            if found.group() in ("/>", ">"):
                self._end_tag(at, found.group())

    # Tags

    def _end_tag(self, at: int, closer: str) -> None:
        if not self.frames or self.frames[-1].kind is not Kind.TAG:
            return
        tag = self.frames[-1]
        self._close(at + len(closer) - 1, ">")
        around = self.frames[-1].lexicon if self.frames else self.lexicon
        markup = around.markup or self.lexicon.markup
        name = tag.opener[1:].lower()
        if markup is None or closer == "/>" or name in markup.void or name[:1] in ("!", "?"):
            return
        end = f"</{tag.opener[1:]}>"
        raw = (markup.raw or {}).get(name)
        inner = language(raw if raw is not None else markup.content)
        self._append(Frame(Kind.ELEMENT, tag.opener, end, tag.at, inner, None, end if raw is not None else ""))

    # Text

    def _step_text(self, frame: Frame, rule: Text, is_all: bool) -> bool:
        text = self.text
        tokens, width = _tokens(rule, frame.closer, frame.opener)
        found = tokens.search(text, self._at)
        if found is None:
            self._at = max(self._at, len(text) if is_all else len(text) - width + 1)
            return is_all
        at, token = found.start(), found.group()
        self._at = at
        if token in ("\n", "\r"):
            return self._end_line_in_text(frame, rule, at, is_all)
        if not is_all and len(text) - at < max(width, 2 if token == rule.escape else 1):
            return False
        self._at = found.end()
        if token == frame.closer and found.lastgroup == "end":
            self._pop_closed(len(self.frames) - 1, at, token)
        elif found.lastgroup == "hole":
            end = dict(rule.holes)[token]
            inner = language(rule.hole_language) if rule.hole_language else frame.lexicon
            self._append(Frame(Kind.HOLE, token, end, at, inner, None, end if len(end) > 1 else ""))
        elif found.lastgroup == "set":
            self._append(frame._replace(opener="[", closer="]", at=at, rule=_SET))
        elif found.lastgroup == "nest":
            self._append(frame._replace(opener=token, at=at))
        return True

    def _end_line_in_text(self, frame: Frame, rule: Text, at: int, is_all: bool) -> bool:
        if isinstance(rule, HereDocument):
            return self._end_line_in_here_document(frame, at, is_all)
        # The line end is read as code: a string that was not closed ends with its line.
        self.frames.pop()
        if rule.end:
            self.errors.append(Event(at, frame.closer))
        return True

    def _end_line_in_here_document(self, frame: Frame, at: int, is_all: bool) -> bool:
        rest = self.text[at + 1 : at + 1 + _MAX_INDENT + len(frame.closer)]
        word = rest.lstrip(" \t")
        is_word = word.startswith(frame.closer)
        behind = word[len(frame.closer) :][:1]
        if not is_all and (frame.closer.startswith(word) or (is_word and not behind)):
            return False
        self._at = at + 1
        if is_word and not (behind.isalnum() or behind == "_"):
            begin = at + 1 + len(rest) - len(word)
            self._at = begin + len(frame.closer)
            self._pop_closed(len(self.frames) - 1, begin, frame.closer)
        return True

    # Frames

    def _push(self, kind: Kind, opener: str, closer: str, at: int, lexicon: Lexicon) -> None:
        outer = self.frames[-1].outer if self.frames else ""
        self._append(Frame(kind, opener, closer, at, lexicon, None, outer))

    def _append(self, frame: Frame) -> None:
        self.frames.append(frame)
        if len(self.frames) > _MAX_DEPTH:
            del self.frames[0]

    def _close(self, at: int, written: str, closer: str = "") -> None:
        """Read ``written``, which closes the innermost frame with such a closer, and all in that."""
        wanted = closer or written
        for index in range(len(self.frames) - 1, -1, -1):
            frame = self.frames[index]
            if frame.closer.lower() == wanted.lower():
                self._pop_closed(index, at, written)
                return
            if frame.kind is Kind.TEXT or frame.outer == frame.closer != "":
                break  # beyond is another text
        if written in self.lexicon.lone:
            return
        self.errors.append(Event(at, written))
        if not self.frames:
            self.unopened.add(at)
        if not self.frames or self.frames[-1].at < self.begin:
            self.foreign.append(Event(at, written))

    def _pop_closed(self, index: int, at: int, closer: str) -> None:
        skipped = [frame for frame in self.frames[index + 1 :] if not frame.is_weak]
        frame = self.frames[index]
        self.omitted += [each for each in self.frames[index + 1 :] if each.kind is Kind.ELEMENT and each.is_weak]
        del self.frames[index:]
        self.closed.append(Event(at, closer))
        if skipped:
            self.errors.append(Event(at, closer))
        if frame.at < self.begin <= at:
            self.foreign.append(Event(at, closer))


def scan(lexicon: Lexicon, text: str) -> Scanner:
    """A scanner that has read all of ``text``."""
    scanner = Scanner(lexicon)
    scanner.extend(text)
    scanner.finish()
    return scanner


def _ends_with_line(frame: Frame) -> bool:
    return isinstance(frame.rule, Text) and not frame.rule.is_multi_line


def _is_unfinished(rule: Rule, text: str, at: int) -> bool:
    """Whether ``text`` ends before it is clear that ``rule`` applies at ``at``."""
    if not rule.unfinished or len(text) - at > _MAX_UNFINISHED:
        return False
    return compiled(rule.unfinished).fullmatch(text, at) is not None


@lru_cache(maxsize=512)
def _tokens(rule: Text, closer: str, opener: str) -> tuple[re.Pattern[str], int]:
    """What matters inside of a text, and how many characters the longest of that has."""
    parts = []
    parts += [re.escape(literal) for literal in rule.literals]
    if rule.end and not isinstance(rule, HereDocument):
        parts.append(f"(?P<end>{re.escape(closer)})")
    if rule.holes:
        parts.append("(?P<hole>" + "|".join(re.escape(begin) for begin, _ in rule.holes) + ")")
    if rule.escape:
        parts.append(f"{re.escape(rule.escape)}(?s:.)?")
    if rule.nests or (rule.mirrors and opener[-1] != closer):
        parts.append(f"(?P<nest>{re.escape(opener[-1] if rule.mirrors else opener)})")
    if rule.has_sets:
        parts.append(r"(?P<set>\[)")
    if not rule.is_multi_line or isinstance(rule, HereDocument):
        parts.append("[\r\n]")
    longest = max(
        len(closer),
        len(opener) if rule.nests else 1,
        *(len(each) for each in rule.literals),
        *(len(begin) for begin, _ in rule.holes),
    )
    return re.compile("|".join(parts) or "(?!)"), longest
