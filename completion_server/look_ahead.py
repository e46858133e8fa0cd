"""Where the cursor is going to be when Enter is pressed. Text and places only."""

from __future__ import annotations

from completion_server.document import Document, Position, line_body
from completion_server.trigger import opens_block

_DEFAULT_INDENT = "    "
_MAX_LINES_LOOKED_AT = 200


def after_enter(document: Document, position: Position) -> tuple[Document, Position]:
    """``document`` after Enter at the end of the cursor's line, and where an editor's indentation leads to.

    The new line is indented as the old one, and by one more unit where the old one opens a block.
    """
    line = document.lines[position.line]
    content = line_body(line)
    end_of_line = line[len(content) :] or "\n"
    indent = content[: len(content) - len(content.lstrip(" \t"))]
    if opens_block(document, position.line):
        indent += _indent_unit(document, position.line)
    end = Position(position.line, len(content))
    return document.with_replacement(end, end, end_of_line + indent)


def _indent_unit(document: Document, line: int) -> str:
    """One step of indentation around ``line``: a tab, or the fewest spaces (2 or more) that a line starts with."""
    start = max(line - _MAX_LINES_LOOKED_AT, 0)
    written = [text for text in document.lines[start : line + 1] if text.strip()]
    indents = [text[: len(text) - len(text.lstrip(" \t"))] for text in written]
    if any("\t" in indent for indent in indents):
        return "\t"
    widths = [len(indent) for indent in indents if len(indent) > 1]
    return " " * min(widths) if widths else _DEFAULT_INDENT
