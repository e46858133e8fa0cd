"""What a filter may know of the place where its text goes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from completion_server.document import Document, Position

_LINES_LOOKED_AT = 8


@dataclass(frozen=True)
class Place:
    """The text around the cursor, cut to what filters look at."""

    before_on_line: str
    after_on_line: str
    lines_before: tuple[str, ...]
    """The lines with something on them before the cursor's line, nearest first, stripped."""
    lines_after: tuple[str, ...]
    """The lines with something on them after the cursor's line, nearest first, stripped."""
    line_end: str
    is_partial: bool
    """The generation was cut off by the clock or by its length, so its end is arbitrary."""
    is_single_line: bool

    @classmethod
    def of(cls, document: Document, position: Position, *, is_partial: bool, is_single_line: bool) -> Place:
        line = position.line
        before = document.lines[max(line - 3 * _LINES_LOOKED_AT, 0) : line]
        after = document.lines[line + 1 : line + 1 + 3 * _LINES_LOOKED_AT]
        return cls(
            before_on_line=document.line_prefix(position),
            after_on_line=document.line_suffix(position),
            lines_before=_written(reversed(before)),
            lines_after=_written(after),
            line_end=_line_end(document, line),
            is_partial=is_partial,
            is_single_line=is_single_line,
        )


def _written(lines: Iterable[str]) -> tuple[str, ...]:
    stripped = [line.strip() for line in lines]
    return tuple(line for line in stripped if line)[:_LINES_LOOKED_AT]


def _line_end(document: Document, line: int) -> str:
    """The line end of the cursor's line or the one before it; ``\\n`` in a document of one line."""
    for candidate in (document.lines[line], document.lines[max(line - 1, 0)]):
        for end in ("\r\n", "\n", "\r"):
            if candidate.endswith(end):
                return end
    return "\n"
