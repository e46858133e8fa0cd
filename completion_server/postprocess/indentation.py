"""Indentation as in the file, and not twice."""

from __future__ import annotations

import re

from completion_server.postprocess.place import Place

_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)


def drop_doubled_indent(text: str, place: Place) -> str:
    """The white space that a line begins with stands before the cursor already."""
    before = place.before_on_line
    if before and not before.strip() and text.startswith(before):
        return text[len(before) :]
    return text


def match_indentation(text: str, place: Place) -> str:
    """Tabs where the file's lines begin with tabs, spaces where they begin with spaces; the first line stays."""
    if place.indent_unit == "":
        return text
    first, line_end, others = text.partition("\n")
    uses_tabs = place.indent_unit == "\t"
    width = 4 if uses_tabs else len(place.indent_unit)

    def rewrite(match: re.Match[str]) -> str:
        if uses_tabs and match.group().startswith("\t"):
            return match.group()  # what follows its tabs aligns the line with the one above
        columns = len(match.group().expandtabs(width))
        return "\t" * (columns // width) + " " * (columns % width) if uses_tabs else " " * columns

    return first + line_end + _INDENT.sub(rewrite, others)
