"""Marked text: ``ˇ`` is the cursor."""

from __future__ import annotations

from completion_server.document import Document, Position, split_lines

CURSOR = "ˇ"


def parse_marked(
    text: str, *, uri: str = "file:///w/a.py", language_id: str = "python"
) -> tuple[Document, Position]:
    """The document and the position of its one cursor mark."""
    before, mark, after = text.partition(CURSOR)
    assert mark, "no cursor in the marked text"
    lines = split_lines(before)
    document = Document.from_text(before + after, uri=uri, language_id=language_id)
    return document, Position(len(lines) - 1, len(lines[-1]))
