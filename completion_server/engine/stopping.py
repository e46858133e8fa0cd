"""Where a generation ends, decided while it grows. Each rule sees the text so far and may cut it.

Rules are pure in the sense that a fresh set belongs to one generation. They know text only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_LINE_END = re.compile(r"\r\n|\r|\n")
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


@dataclass(frozen=True)
class Dedent:
    """Block mode: stop before a line that is indented less than the block.

    ``indent_width``: columns of the block's own lines (a tab counts as ``tab_width``). The first line of the text
    continues the cursor's line and is not judged; blank lines and unfinished white space neither.
    """

    indent_width: int
    tab_width: int = 4
    name: str = "dedent"

    def find_cut(self, text: str) -> int | None:
        for match in _LINE_END.finditer(text):
            indent = re.match(r"[ \t]*", text[match.end() :])
            rest = text[match.end() + (indent.end() if indent else 0) :]
            if not rest or rest[0] in "\r\n":
                continue
            width = len((indent.group() if indent else "").expandtabs(self.tab_width))
            if width < self.indent_width:
                return len(text[: match.start()].rstrip())
        return None


@dataclass(frozen=True)
class BlankLine:
    """Block mode: a blank line after something was written ends the block."""

    name: str = "blank_line"

    def find_cut(self, text: str) -> int | None:
        match = re.search(r"\S[^\S\r\n]*(?:\r\n|\r|\n)[^\S\r\n]*(?=\r\n|\r|\n)", text)
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
class Repetition:
    """The text runs in a circle: its tail is one unit, ``num_repeats`` times over, or one line again and again."""

    num_repeats: int = 3
    min_chars: int = 24
    name: str = "repetition"

    def find_cut(self, text: str) -> int | None:
        if len(text) < self.min_chars:
            return None
        for period in range(1, len(text) // self.num_repeats + 1):
            unit = text[-period:]
            span = period * self.num_repeats
            # White space and rules ("-----", "=====") repeat in honest text.
            if span >= self.min_chars and any(map(str.isalnum, unit)) and text.endswith(unit * self.num_repeats):
                return len(text) - span + period
        return None


@dataclass(frozen=True)
class TextReached:
    """One of ``texts`` was written; it is left out, as the ``stop`` of other servers' protocols wants it."""

    texts: tuple[str, ...]
    name: str = "text_reached"

    def find_cut(self, text: str) -> int | None:
        return min((at for wanted in self.texts if wanted and (at := text.find(wanted)) >= 0), default=None)
