"""What a filter may know of the place where its text goes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from completion_server.document import Document, Position, line_body
from completion_server.fences import without_prose
from completion_server.lexicon import Frame, Lexicon, Scanner, lexicon_of
from completion_server.lexicon.table import lexicon_at
from completion_server.postprocess.balance import Balance
from completion_server.postprocess.frame import heads_above, parsed_part
from completion_server.postprocess.indent_unit import indent_unit
from completion_server.syntax import HoledText, grammar_of
from completion_server.trigger import indent_width, window_start

_LINES_LOOKED_AT = 8
_INDENT_LINES = 40
_SCANNED_LINES = 30
_TREE_CHARS_BEFORE, _TREE_CHARS_AFTER = 7_000, 4_000  # parsed in about 1 ms


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
    language_id: str = ""
    window_before: str = ""
    """Text before the cursor, from some lines before its own, for the scanner."""
    is_cut_above: bool = False
    """``window_before`` does not begin with the file."""
    tree_before: str = ""
    tree_after: str = ""
    """Text around the cursor that a syntax tree is made of: the file, or whole parts of it."""
    tree_heads: str = ""
    """The lines above ``tree_before`` that it is inside of."""
    is_cut_below: bool = False
    """``tree_after`` does not reach to the end of the file."""
    num_replaced: int = 0
    """Characters after the cursor that the text takes the place of; not in ``after_on_line``."""
    next_indent_width: int = 0
    """Columns that the first of ``lines_after`` is indented by."""
    indent_unit: str = ""
    """A tab or some spaces, as the lines around begin with; "" where none is indented."""
    previous_line: str = ""
    """The nearest line with something on it before the cursor's line, as it stands there."""

    @classmethod
    def of(cls, document: Document, position: Position, *, is_partial: bool, is_single_line: bool) -> Place:
        line = position.line
        document = without_prose(document, line)
        window_line = window_start(document, line, _SCANNED_LINES)
        window_before = document.text_before(position, window_line)
        window_before = window_before.replace("\r\n", "\n")
        tree_start, tree_end = _tree_lines(document, line)
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
            language_id=document.language_id,
            window_before=window_before,
            is_cut_above=window_line > 0,
            tree_before=document.text_before(position, tree_start).replace("\r\n", "\n"),
            tree_after=document.text_after(position, tree_end).replace("\r\n", "\n"),
            tree_heads=heads_above(document, tree_start) if grammar_of(document.language_id) else "",
            is_cut_below=tree_end < len(document.lines),
            next_indent_width=indent_width(next((text for text in after if text.strip()), "")),
            indent_unit=indent_unit(
                document.language_id, document.lines[max(line - _INDENT_LINES, 0) : line + 1 + _LINES_LOOKED_AT]
            ),
            previous_line=next((line_body(text) for text in reversed(before) if text.strip()), ""),
        )

    def replacing(self, num_chars: int) -> Place:
        """The same place for a text that takes the place of so many characters after the cursor."""
        return dataclasses.replace(self, after_on_line=self.after_on_line[num_chars:], num_replaced=num_chars)

    @cached_property
    def errors(self) -> HoledText:
        """Counts the syntax errors of the text around with something at the cursor; made when it is asked for."""
        return parsed_part(
            self.language_id, self.tree_heads, self.tree_before, self.tree_after, is_cut_below=self.is_cut_below
        )

    @property
    def lexicon(self) -> Lexicon:
        """How the document's language writes brackets, strings and comments."""
        return lexicon_of(self.language_id)

    @property
    def scanner(self) -> Scanner:
        """Has read the text before the cursor, but for what may yet become a longer delimiter. Fork it."""
        return _scanned(self.language_id, self.window_before)

    @cached_property
    def frames(self) -> list[Frame]:
        """What is open at the cursor, the outermost first."""
        return self.read("").frames

    def read(self, text: str) -> Scanner:
        """What is open after ``text`` at the cursor, and what it closed."""
        scanner = self.scanner.fork()
        scanner.extend(self.window_before + text)
        scanner.finish()
        return scanner

    @cached_property
    def balance(self) -> Balance:
        """Judges the pairs of brackets, quotes and tags around the cursor; made when it is asked for."""
        line_start = len(self.window_before) - len(self.before_on_line)
        return Balance(self.scanner, self.tree_after, line_start, cut=(self.is_cut_above, self.is_cut_below))


@lru_cache(maxsize=8)
def _scanned(language_id: str, text: str) -> Scanner:
    scanner = Scanner(lexicon_at(language_id, text))
    scanner.extend(text)
    return scanner


def _tree_lines(document: Document, line: int) -> tuple[int, int]:
    """First line of a window around ``line``, and the line after its last.

    It begins and ends with one of its lines that are indented least, or with the file, and has at most so many
    characters, however long the file is.
    """
    lines = document.lines
    start, end = line, line + 1
    size = 0
    while start > 0 and (size := size + len(lines[start - 1])) <= _TREE_CHARS_BEFORE:
        start -= 1
    size = 0
    while end < len(lines) and (size := size + len(lines[end])) <= _TREE_CHARS_AFTER:
        end += 1
    if start > 0:
        start = min(_beginnings(lines, start, line), key=lambda number: indent_width(lines[number]), default=start)
    if end < len(lines):
        below = list(_beginnings(lines, line + 2, end))
        end = min(reversed(below), key=lambda number: indent_width(lines[number]), default=end)
    return start, end


def _beginnings(lines: Sequence[str], start: int, end: int) -> Iterable[int]:
    """Lines with something on them other than a closing bracket."""
    return (
        number for number in range(start, end) if lines[number].strip() and lines[number].lstrip()[0] not in ")]}"
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
