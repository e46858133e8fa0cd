"""Text as LSP sees it: lines, positions, edits.

Owns the line rule (only ``\\n``, ``\\r\\n`` and ``\\r`` end a line; form feed and U+2028 are text) and the
conversion of client units to code points. Knows nothing of lsprotocol types, models or settings.
LSP 3.18, "Text Documents" and "Position".
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

LONG_LINE_CHARS = 5_000
"""A longer line is data: nothing is scanned, parsed or shown of it but a window around the cursor."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_PIECE_CHARS = 1 << 15
_LAST_OF_BMP = 0xFFFF
_LONG_ENOUGH = 1_000  # characters; below, a string's own header would count


class PositionEncoding(Enum):
    """The unit in which a client counts characters (LSP ``PositionEncodingKind``)."""

    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"


@dataclass(frozen=True, order=True)
class Position:
    """A place between two characters: zero-based ``line`` and ``column``, the column in code points."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """One text at one version. ``lines`` keep their line ends; there is always at least one line."""

    uri: str
    language_id: str
    version: int
    lines: tuple[str, ...] = field(repr=False)

    @classmethod
    def from_text(cls, text: str, *, uri: str = "", language_id: str = "", version: int = 0) -> Document:
        return cls(uri, language_id, version, tuple(split_lines(text)))

    @property
    def text(self) -> str:
        """The whole text; costs O(file), so not for the path of a key press."""
        return "".join(self.lines)

    def line_prefix(self, position: Position) -> str:
        """Text of the cursor's line before the cursor."""
        return self.lines[position.line][: position.column]

    def line_suffix(self, position: Position) -> str:
        """Text of the cursor's line after the cursor, without its line end."""
        return line_body(self.lines[position.line])[position.column :]

    def text_before(self, position: Position, first_line: int = 0) -> str:
        """Text from the start of ``first_line`` to ``position``."""
        return "".join(self.lines[first_line : position.line]) + self.line_prefix(position)

    def text_after(self, position: Position, end_line: int | None = None) -> str:
        """Text from ``position`` to the end of the line before ``end_line`` (exclusive; None: to the end)."""
        rest = self.lines[position.line][position.column :]
        return rest + "".join(self.lines[position.line + 1 : end_line])

    def with_replacement(self, start: Position, end: Position, text: str) -> tuple[Document, Position]:
        """This document with ``text`` in place of what lies between, and the place behind it."""
        parts = split_lines(self.lines[start.line][: start.column] + text)
        behind = Position(start.line + len(parts) - 1, len(parts[-1]))
        parts[-1] += self.lines[end.line][end.column :]
        lines = (*self.lines[: start.line], *parts, *self.lines[end.line + 1 :])
        return dataclasses.replace(self, lines=lines), behind

    def clamp(self, position: Position) -> Position:
        """The nearest place that exists in this document."""
        if position.line >= len(self.lines):
            return Position(len(self.lines) - 1, len(self.lines[-1]))
        line = max(position.line, 0)
        return Position(line, min(max(position.column, 0), body_length(self.lines[line])))


class LineBuffer:
    """The mutable text behind an open document: a key press costs O(one line), not O(file)."""

    def __init__(self, text: str) -> None:
        self._lines = split_lines(text)

    @property
    def text(self) -> str:
        return "".join(self._lines)

    @property
    def num_lines(self) -> int:
        return len(self._lines)

    def snapshot_lines(self) -> tuple[str, ...]:
        """All lines, immutable; the strings are shared, only pointers are copied."""
        return tuple(self._lines)

    def position_from_client(self, line: int, character: int, encoding: PositionEncoding) -> Position:
        """A client position in code points, clamped to the text.

        A line past the end is the end of the text; a character past the end of its line is the end of that
        line before its line end (LSP 3.18: "If the character value is greater than the line length it
        defaults back to the line length"). A position inside a surrogate pair or a UTF-8 sequence moves back.
        """
        if line >= len(self._lines):
            return Position(len(self._lines) - 1, len(self._lines[-1]))
        return Position(line, column_in_line(self._lines[line], character, encoding))

    def replace(self, start: Position, end: Position, text: str) -> None:
        """Put ``text`` in place of everything between ``start`` and ``end`` (order does not matter)."""
        if end < start:
            start, end = end, start
        lines = self._lines
        first, last = start.line, end.line
        merged = "".join((lines[first][: start.column], text, lines[last][end.column :]))
        if first == last and not _LINE_END.search(text) and not self._touches_line_end(start, end):
            lines[first] = merged
            return
        # A "\r" and a "\n" that come together become one line end: take the neighbours in and split anew.
        if first > 0 and lines[first - 1].endswith("\r") and merged.startswith("\n"):
            first -= 1
            merged = lines[first] + merged
        if last + 1 < len(lines):
            last += 1
            merged += lines[last]
        pieces = split_lines(merged)
        if last + 1 < len(lines) and pieces[-1] == "":
            pieces.pop()  # the last piece is the line that follows, and it is there already
        lines[first : last + 1] = pieces

    def _touches_line_end(self, start: Position, end: Position) -> bool:
        """Whether the edit may join or split the line end of its own line or the one above."""
        line = self._lines[start.line]
        return start.column == 0 or end.column > body_length(line)


def split_lines(text: str) -> list[str]:
    """Lines with their ends; a trailing line end is followed by one empty last line, as LSP counts."""
    if "\r" not in text:
        parts = text.split("\n")  # several times as fast as the pattern
        return [*(part + "\n" for part in parts[:-1]), parts[-1]]
    lines, start = [], 0
    for match in _LINE_END.finditer(text):
        lines.append(text[start : match.end()])
        start = match.end()
    lines.append(text[start:])
    return lines


def short_lines(lines: Iterable[str]) -> list[str]:
    """``lines``, those empty but for their ends that are long."""
    return [line if len(line) <= LONG_LINE_CHARS else line[body_length(line) :] for line in lines]


def line_body(line: str) -> str:
    """``line`` without its line end."""
    if line.endswith("\r\n"):
        return line[:-2]
    return line[:-1] if line.endswith(("\n", "\r")) else line


def body_length(line: str) -> int:
    """Characters of ``line`` without its line end."""
    if line.endswith("\r\n"):
        return len(line) - 2
    return len(line) - line.endswith(("\n", "\r"))


def column_in_line(line: str, units: int, encoding: PositionEncoding) -> int:
    """Code points in the first ``units`` client units of ``line``, clamped to what stands before its line end."""
    return min(column_from_units(line, units, encoding), body_length(line))


def column_from_units(body: str, units: int, encoding: PositionEncoding) -> int:
    """Code points in the first ``units`` client units of ``body``, clamped to its length."""
    units = max(units, 0)
    if _is_unit_per_character(body, encoding):
        return min(units, len(body))
    column, taken = _whole_pieces(body, units, encoding)
    units -= taken
    body = body[column : column + min(units, _PIECE_CHARS)]  # no character takes less than one unit
    return column + _column_in_piece(body, units, encoding)


def _whole_pieces(body: str, units: int, encoding: PositionEncoding) -> tuple[int, int]:
    """The end of the last piece of ``body`` that lies in its first ``units`` units, and its units."""
    column = taken = 0
    while column + _PIECE_CHARS <= min(len(body), units):
        size = units_from_column(body[column : column + _PIECE_CHARS], _PIECE_CHARS, encoding)
        if taken + size > units:
            break
        taken += size
        column += _PIECE_CHARS
    return column, taken


def _column_in_piece(body: str, units: int, encoding: PositionEncoding) -> int:
    codec, width = ("utf-8", 1) if encoding is PositionEncoding.UTF8 else ("utf-16-le", 2)
    try:
        return len(body.encode(codec)[: width * units].decode(codec, "ignore"))
    except UnicodeEncodeError:
        return _column_by_walking(body, units, encoding)


def _column_by_walking(body: str, units: int, encoding: PositionEncoding) -> int:
    """For lone surrogates, which JSON can carry and no codec gives back one by one."""
    column = taken = 0
    for character in body:
        taken += units_from_column(character, 1, encoding)
        if taken > units:
            break
        column += 1
    return column


def units_from_column(body: str, column: int, encoding: PositionEncoding) -> int:
    """Client units taken by the first ``column`` code points of ``body``."""
    if _is_unit_per_character(body, encoding):
        return min(column, len(body))
    column = min(column, len(body))
    if encoding is PositionEncoding.UTF16 and column >= _PIECE_CHARS:
        starts = range(0, column, _PIECE_CHARS)
        return column + sum(_num_beyond_bmp(body[at : min(at + _PIECE_CHARS, column)]) for at in starts)
    head = body[:column]
    if encoding is PositionEncoding.UTF8:
        return len(head.encode("utf-8", "surrogatepass"))
    return len(head.encode("utf-16-le", "surrogatepass")) // 2


def _num_beyond_bmp(text: str) -> int:
    """Characters of ``text`` that take two units in UTF-16; several times as fast as to encode it so."""
    import numpy as np  # only for lines of megabytes

    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    return int(np.count_nonzero(codes > _LAST_OF_BMP))


def _is_unit_per_character(text: str, encoding: PositionEncoding) -> bool:
    """Whether it is known without reading ``text`` that each of its characters takes one unit."""
    if encoding is PositionEncoding.UTF32 or text.isascii():
        return True
    if encoding is PositionEncoding.UTF8 or len(text) < _LONG_ENOUGH:
        return False
    # PEP 393: a string that is stored in at most two bytes per character has none beyond U+FFFF.
    return sys.getsizeof(text, 4 * len(text)) < 3 * len(text)
