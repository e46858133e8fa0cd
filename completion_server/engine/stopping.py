"""Where a generation ends, decided while it grows. Each rule sees the text so far and may cut it.

A fresh set of rules belongs to one request. What they remember of a text, so that a token costs its own characters
only, they forget when another text comes that does not go on from it. They know text only, and their fields are
plain data: they are sent to an engine in another process.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from completion_server.lexicon import CLOSER_OF, Lexicon, Scanner, lexicon_of

_LINE_END = re.compile(r"\r\n|\r|\n")
_CLOSERS = frozenset(CLOSER_OF.values())
_MIN_SUFFIX_LINE = 3  # characters; shorter lines ("}", ")") recur too often to mean that the suffix is reached


class StopRule(Protocol):
    """Decides from the text generated so far; called after every token that adds text."""

    @property
    def name(self) -> str: ...

    def find_cut(self, text: str) -> int | None:
        """Length to keep of ``text`` when the generation is over, else None."""
        ...


@dataclass(frozen=True)
class StopAt:
    """The rule that fired and what it keeps."""

    rule: str
    num_kept_chars: int


def find_stop(rules: Sequence[StopRule], text: str) -> StopAt | None:
    """The earliest cut that any of ``rules`` asks for."""
    cuts = [StopAt(rule.name, cut) for rule in rules if (cut := rule.find_cut(text)) is not None]
    return min(cuts, key=lambda stop: stop.num_kept_chars, default=None)


@dataclass(frozen=True)
class LineEnd:
    """Single-line mode: nothing after the first line end, and no leading one."""

    name: str = "line_end"

    def find_cut(self, text: str) -> int | None:
        match = _LINE_END.search(text)
        return None if match is None else match.start()


class _Incremental:
    """What a rule remembers of a text that grows: a scanner, and up to where the rule has looked."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._text = ""
        self._restart()

    def _restart(self) -> None:
        self.scanner = Scanner(self._lexicon)
        self.offset = 0

    def read(self, text: str) -> None:
        """Go on with ``text``, or start anew when it does not begin with the text before."""
        if not text.startswith(self._text):
            self._restart()
        self._text = text
        self.scanner.extend(text)


@dataclass
class Dedent:
    """Block mode: stop before a line that is indented less than the block.

    ``indent_width``: columns of the block's own lines (a tab counts as ``tab_width``). The first line of the text
    continues the cursor's line and is not judged; blank lines and unfinished white space neither, nor lines inside
    a string or a bracket that the text opened. ``closer``: the bracket that ends the block where the text after
    the cursor lacks it; a line that starts with it is kept, and is the last.
    """

    indent_width: int
    tab_width: int = 4
    closer: str = ""
    language_id: str = ""
    name: str = "dedent"

    def __post_init__(self) -> None:
        self._state = _Incremental(lexicon_of(self.language_id))

    def find_cut(self, text: str) -> int | None:
        self._state.read(text)
        while (match := _LINE_END.search(text, self._state.offset)) is not None:
            code = text[match.end() :].lstrip(" \t")
            if not code:
                return None  # the line may yet be indented enough
            indent = text[match.end() : len(text) - len(code)]
            is_blank = code[0] in "\r\n"
            if not is_blank and self._is_less(indent) and self._state.scanner.is_clean_at(match.end() - 1):
                return self._end_of_block(text, match, code)
            self._state.offset = match.end()
        return None

    def _is_less(self, indent: str) -> bool:
        return len(indent.expandtabs(self.tab_width)) < self.indent_width

    def _end_of_block(self, text: str, line_end: re.Match[str], code: str) -> int | None:
        if self.closer and self.closer.startswith(code):
            return None  # it may yet become the closer
        if self.closer and code.startswith(self.closer):
            last = _LINE_END.search(text, line_end.end())
            return None if last is None else last.start()
        return len(text[: line_end.start()].rstrip())


@dataclass
class ForeignCloser:
    """Stop before a bracket that the text did not open and that stands after the cursor already.

    ``closer``: the first thing after the cursor, if that is a closing bracket. ``passed``: closing brackets that
    stand there from the first on, and that the text may write, each in its turn, since it replaces them if it goes
    on behind them.
    """

    closer: str
    language_id: str = ""
    passed: str = ""
    name: str = "foreign_closer"

    def __post_init__(self) -> None:
        self._state = _Incremental(lexicon_of(self.language_id))

    def find_cut(self, text: str) -> int | None:
        if self.closer not in _CLOSERS:
            return None
        self._state.read(text)
        num_passed = 0
        for offset in self._state.scanner.unmatched:
            if self.passed[num_passed : num_passed + 1] == text[offset]:
                num_passed += 1
            elif text[offset] == self.closer:
                kept = text[:offset].rstrip()
                return len(kept) if "\n" in text[len(kept) : offset] else offset
        return None


@dataclass(frozen=True)
class RestReached:
    """The text reproduces the rest of the cursor's line, which stands there already."""

    rest_of_line: str
    name: str = "rest_reached"

    def find_cut(self, text: str) -> int | None:
        rest = self.rest_of_line.strip()
        if len(rest) < _MIN_SUFFIX_LINE or not any(map(str.isalnum, rest)):
            return None
        found = text.find(rest)
        return None if found < 0 else found


@dataclass(frozen=True)
class BlankLine:
    """Block mode: a blank line after something was written ends the block."""

    name: str = "blank_line"

    def find_cut(self, text: str) -> int | None:
        match = re.search(r"\S[^\S\r\n]*(?:\r\n|\r(?!\n)|\n)[^\S\r\n]*(?=\r\n|\r|\n)", text)
        return None if match is None else match.start() + 1


@dataclass(frozen=True)
class MaxLines:
    """Block mode: at most ``num_lines`` lines with something on them."""

    num_lines: int
    name: str = "max_lines"

    def find_cut(self, text: str) -> int | None:
        count, start = 0, 0
        for match in _LINE_END.finditer(text):
            count += bool(text[start : match.start()].strip())
            if count >= self.num_lines:
                return match.start()
            start = match.end()
        return None


@dataclass(frozen=True)
class SuffixReached:
    """A whole generated line equals the first line with something on it after the cursor's line."""

    next_line: str
    name: str = "suffix_reached"

    def find_cut(self, text: str) -> int | None:
        wanted = self.next_line.strip()
        if len(wanted) < _MIN_SUFFIX_LINE:
            return None
        previous_end = 0
        for match in _LINE_END.finditer(text):
            # The line before this line end; the text's first line continues the cursor's line.
            if previous_end and text[previous_end : match.start()].strip() == wanted:
                return len(text[:previous_end].rstrip())
            previous_end = match.end()
        return None


@dataclass(frozen=True)
class FenceClosed:
    """A generated line begins with what closes the Markdown fence around the cursor; "" where there is none."""

    marker: str
    name: str = "fence_closed"

    def find_cut(self, text: str) -> int | None:
        if not self.marker:
            return None
        found = re.search(rf"(?:\A|[\r\n])[ \t]*{re.escape(self.marker)}", text)
        return None if found is None else found.start()


@dataclass(frozen=True)
class Repetition:
    """The text runs in a circle: its tail is one unit, a line or several words, ``num_repeats`` times over.

    A unit is ``max_period`` characters at most, which bounds the cost of a token. Keeps the first one, back to the
    last line end in it if the unit is whole lines.
    """

    num_repeats: int = 3
    min_chars: int = 24
    max_period: int = 160
    name: str = "repetition"

    def find_cut(self, text: str) -> int | None:
        if len(text) < self.min_chars:
            return None
        tail = text[-self.num_repeats * self.max_period :]
        for period in range(1, len(tail) // self.num_repeats + 1):
            # Two comparisons of one character each before the dear one.
            if tail[-1] != tail[-1 - period] or tail[-1] != tail[-1 - 2 * period]:
                continue
            unit, span = tail[-period:], period * self.num_repeats
            # White space and rules ("-----", "=====") repeat in honest text.
            if span >= self.min_chars and any(map(str.isalnum, unit)) and tail.endswith(unit * self.num_repeats):
                return self._after_first(text, len(text) - span, unit)
        return None

    def _after_first(self, text: str, start: int, unit: str) -> int:
        # The unit may itself be shorter units: "1, 2, 1, 2, ".
        lengths = range(1, len(unit) + 1)
        end = start + next(size for size in lengths if unit[:size] * (len(unit) // size) == unit)
        line_end = text.rfind("\n", start, end)
        return end if line_end <= 0 else line_end


@dataclass(frozen=True)
class TextReached:
    """One of ``texts`` was written; it is left out, as the ``stop`` of other servers' protocols wants it."""

    texts: tuple[str, ...]
    name: str = "text_reached"

    def find_cut(self, text: str) -> int | None:
        return min((at for wanted in self.texts if wanted and (at := text.find(wanted)) >= 0), default=None)
