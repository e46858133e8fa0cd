"""Indentation as in the file, and not twice."""

from __future__ import annotations

import re

from completion_server.postprocess.indent_unit import written_unit
from completion_server.postprocess.place import Place
from completion_server.trigger import indent_width

_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
_OPENS = re.compile(
    r"(?:[:{(\[]|=>|->|\b(?:then|do|begin|else|of|where))\s*$"
    r"|^\s*(?:\}\s*)?(?:if|elif|elsif|elseif|else|unless|for|foreach|while|until|switch|case|when|def|class|module"
    r"|function|local function|sub|try|rescue|catch|begin)\b[^{};]*$"
)
"""A line after which the next one is indented deeper."""
_MULTI_LINE_STRINGS = frozenset({"'" * 3, '"' * 3, "`"})
_CLOSERS = frozenset(")]}")


def drop_doubled_indent(text: str, place: Place) -> str:
    """The white space that a line begins with stands before the cursor already.

    A text that begins with white space either repeats what stands before the cursor, or goes on from there to a
    deeper block, because the editor put the cursor below the line that opens the block. What fits the line above
    better decides.
    """
    before = place.before_on_line
    if not before or before.strip() or not text.startswith(before):
        return text
    wanted = indent_width(place.previous_line)
    if _opens(place.previous_line):
        wanted += indent_width(place.indent_unit) or 4
    is_deeper = abs(indent_width(before + text) - wanted) < abs(indent_width(text) - wanted)
    return text if is_deeper else text[len(before) :]


def match_indentation(text: str, place: Place) -> str:
    """Tabs where the file's lines begin with tabs, spaces where they begin with spaces.

    The first line stays where it continues the cursor's line. So does text inside of a string of several lines.
    """
    if place.indent_unit == "" or (place.frames and place.frames[-1].closer in _MULTI_LINE_STRINGS):
        return text
    is_line_start = not place.before_on_line.strip()
    first, line_end, others = text.partition("\n")
    uses_tabs = place.indent_unit == "\t"
    width = _width_in_tabs(first, others, place) if uses_tabs else len(place.indent_unit)

    def rewrite(match: re.Match[str]) -> str:
        if uses_tabs and match.group().startswith("\t"):
            return match.group()  # what follows its tabs aligns the line with the one above
        columns = len(match.group().expandtabs(width))
        return "\t" * (columns // width) + " " * (columns % width) if uses_tabs else " " * columns

    if is_line_start:
        first = _INDENT.sub(rewrite, first)
    return first + line_end + _INDENT.sub(rewrite, others)


def _width_in_tabs(first: str, others: str, place: Place) -> int:
    """How many of the spaces that the lines of a text begin with are one level.

    Told from the first indented line, whose level follows from the line above it.
    """
    level = _level(place.before_on_line)
    if first.startswith(" ") and not place.before_on_line.strip():
        wanted = _level(place.previous_line) + _opens(place.previous_line)
        return written_unit(indent_width(first), wanted - level)
    found = _INDENT.search(others)
    if found is None or found.group().startswith("\t"):
        return written_unit(4, 1)
    is_closer = others[found.end() : found.end() + 1] in _CLOSERS
    return written_unit(len(found.group()), level + _opens(place.before_on_line + first) - is_closer)


def _level(line: str) -> int:
    """Tabs that ``line`` begins with."""
    return len(line) - len(line.lstrip("\t"))


def _opens(line: str) -> bool:
    return _OPENS.search(line) is not None
