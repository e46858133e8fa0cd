"""How the languages write comments and strings: enough to tell code from text, character by character.

``Scanner`` is an automaton over characters (brackets, quotes, comments) for text that grows; a grammar is for
whole texts (``syntax``). A language that is not in the table has brackets only: a quote may be an apostrophe.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CLOSER_OF = {"(": ")", "[": "]", "{": "}"}
_CLOSERS = frozenset(CLOSER_OF.values())
_ALONE = _CLOSERS | CLOSER_OF.keys() | {"\n", "\r"}  # begin no longer delimiter
_MARK = re.compile(r"[^\w\s]|[\r\n]")


@dataclass(frozen=True)
class Lexicon:
    """Delimiters of one language. ``strings``: longest first; those in ``multi_line`` may contain line ends."""

    line_comments: tuple[str, ...] = ()
    block_comments: tuple[tuple[str, str], ...] = ()
    strings: tuple[str, ...] = ()
    multi_line: frozenset[str] = frozenset()


NO_LEXICON = Lexicon()
_C = Lexicon(("//",), (("/*", "*/"),), ('"', "'"))
_RUST = Lexicon(("//",), (("/*", "*/"),), ('"',), frozenset('"'))  # 'a is a lifetime more often than a quote
_JAVA = Lexicon(("//",), (("/*", "*/"),), ('"""', '"', "'"), frozenset(['"""']))
_JAVASCRIPT = Lexicon(("//",), (("/*", "*/"),), ("`", '"', "'"), frozenset("`"))
_GO = Lexicon(("//",), (("/*", "*/"),), ("`", '"', "'"), frozenset("`"))
_PYTHON = Lexicon(("#",), (), ('"""', "'''", '"', "'"), frozenset(['"""', "'''"]))
_SHELL = Lexicon(("#",), (), ('"', "'"), frozenset("\"'"))
_DATA = Lexicon(("#",), (), ('"', "'"))
_LEXICON_OF = {
    **dict.fromkeys(("c", "cpp", "cuda-cpp", "csharp", "dart", "zig"), _C),
    **dict.fromkeys(("java", "kotlin", "scala", "swift"), _JAVA),
    **dict.fromkeys(("javascript", "javascriptreact", "typescript", "typescriptreact", "tsx"), _JAVASCRIPT),
    **dict.fromkeys(("json", "jsonc"), Lexicon(("//",), (("/*", "*/"),), ('"',))),
    **dict.fromkeys(("bash", "sh", "shellscript"), _SHELL),
    **dict.fromkeys(("yaml", "toml", "ruby", "r", "elixir", "julia"), _DATA),
    "css": Lexicon((), (("/*", "*/"),), ('"', "'")),
    "go": _GO,
    "lua": Lexicon(("--",), (("--[[", "]]"),), ('"', "'")),
    "python": _PYTHON,
    "rust": _RUST,
    "sql": Lexicon(("--",), (("/*", "*/"),), ("'", '"')),
}


def lexicon_of(language_id: str) -> Lexicon:
    """The delimiters of an editor's language id; none for unknown languages and prose."""
    return _LEXICON_OF.get(language_id, NO_LEXICON)


class Scanner:
    """Reads text piece by piece; each character costs the same however much came before.

    ``stack`` holds the brackets that the text opened and did not close, ``opened_at`` their offsets; ``inside`` is
    what ends the string or comment that it is in ("" in code), ``entered_at`` where that began (-1: before the
    text). ``unmatched`` lists the offsets of closers whose brackets the text did not open, ``left_at`` is where it
    closed the string that it began in.
    """

    def __init__(self, lexicon: Lexicon, inside: str = "") -> None:
        self._lexicon = lexicon
        self._text = ""
        self._at = 0
        self.stack: list[str] = []
        self.opened_at: list[int] = []
        self.inside = inside
        self.entered_at = -1
        self.left_at: int | None = None
        self.unmatched: list[int] = []
        self._clean: set[int] = set()  # line ends where no bracket, string or comment is open

    def extend(self, text: str) -> None:
        """Read on to the end of ``text``, which begins with what was read before.

        Of the last two characters those wait that may begin a longer delimiter.
        """
        self._text = text
        while (at := self._next_mark()) < len(text) - 2 or (
            at < len(text) and not self.inside and text[at] in _ALONE
        ):
            self._step()

    def _next_mark(self) -> int:
        """Go on to the next character that can mean anything; no delimiter has letters or spaces in it."""
        mark = _MARK.search(self._text, self._at)
        self._at = max(self._at, len(self._text) if mark is None else mark.start())
        return self._at

    def is_clean_at(self, line_end: int) -> bool:
        """Whether no bracket or string of the text was open at the line end at offset ``line_end``, if read."""
        if line_end < self._at:
            return line_end in self._clean
        lexicon = self._lexicon
        # Not read yet, so it is the next character to be read: a line comment or a simple string ends there.
        ends_here = self.inside in (
            "",
            "\n",
            *(quote for quote in lexicon.strings if quote not in lexicon.multi_line),
        )
        return not self.stack and ends_here

    def finish(self) -> None:
        """Read what was waiting: no more text comes."""
        while self._next_mark() < len(self._text):
            self._step()

    def _step(self) -> None:
        text, at = self._text, self._at
        char = text[at]
        if self.inside:
            self._step_inside(char)
            return
        self._at += 1
        if char in CLOSER_OF:
            self.stack.append(char)
            self.opened_at.append(at)
        elif char in _CLOSERS:
            if self.stack and CLOSER_OF[self.stack[-1]] == char:
                self.stack.pop()
                self.opened_at.pop()
            elif not self.stack:
                self.unmatched.append(at)
        elif char in "\r\n" and not self.stack:
            self._clean.add(at)
        else:
            self._enter(at)

    def _enter(self, at: int) -> None:
        lexicon, text = self._lexicon, self._text
        self.entered_at = at
        for begin, end in lexicon.block_comments:
            if text.startswith(begin, at):
                self.inside, self._at = end, at + len(begin)
                return
        is_word_before = at > 0 and not text[at - 1].isspace()
        for begin in lexicon.line_comments:
            # "$#" and "a#b" of a shell are no comments.
            if text.startswith(begin, at) and not (begin == "#" and lexicon is _SHELL and is_word_before):
                self.inside, self._at = "\n", at + len(begin)
                return
        for quote in lexicon.strings:
            if text.startswith(quote, at):
                self.inside, self._at = quote, at + len(quote)
                return

    def _step_inside(self, char: str) -> None:
        is_string = self.inside in self._lexicon.strings
        if is_string and char == "\\":
            self._at += 2
        elif char == "\n" and (self.inside == "\n" or (is_string and self.inside not in self._lexicon.multi_line)):
            self.inside = ""  # a string that nobody closed ends with its line; the line end is read as code
        elif self._text.startswith(self.inside, self._at):
            if self.entered_at < 0:
                self.left_at = self._at
            self._at += len(self.inside)
            self.inside = ""
        else:
            self._at += 1


def scan(lexicon: Lexicon, text: str, inside: str = "") -> Scanner:
    """A scanner that has read all of ``text``."""
    scanner = Scanner(lexicon, inside)
    scanner.extend(text)
    scanner.finish()
    return scanner
