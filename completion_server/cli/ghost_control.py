"""A prompt_toolkit control that shows a text being edited with a suggestion after the cursor.

The suggestion is on the screen only: it takes lines there, and none in the text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.formatted_text.utils import fragment_list_len, split_lines
from prompt_toolkit.layout.controls import BufferControl, UIContent
from prompt_toolkit.layout.utils import explode_text_fragments

GHOST_CLASS = "class:ghost"


class GhostControl(BufferControl):
    """``BufferControl`` with ``get_ghost()`` drawn at the cursor."""

    def __init__(self, buffer: Buffer, get_ghost: Callable[[], str], **options: Any) -> None:
        super().__init__(buffer, **options)
        self._get_ghost = get_ghost

    def create_content(self, width: int, height: int, preview_search: bool = False) -> UIContent:
        """The text's own lines, with the suggestion's in between."""
        content = super().create_content(width, height, preview_search)
        ghost = self._get_ghost().replace("\t", "    ")
        if not ghost:
            return content
        row, column = content.cursor_position.y, content.cursor_position.x
        inserted = insert_ghost(content.get_line(row), column, ghost)
        extra = len(inserted) - 1

        def get_line(number: int) -> StyleAndTextTuples:
            if number < row:
                return content.get_line(number)
            return inserted[number - row] if number <= row + extra else content.get_line(number - extra)

        return UIContent(
            get_line=get_line,
            line_count=content.line_count + extra,
            cursor_position=content.cursor_position,
            menu_position=content.menu_position,
            show_cursor=content.show_cursor,
        )


def insert_ghost(line: StyleAndTextTuples, column: int, ghost: str) -> list[StyleAndTextTuples]:
    """``line`` cut at screen ``column`` with ``ghost`` in between, as one or more lines."""
    exploded = explode_text_fragments(line)
    head, tail = exploded[:column], exploded[column:]
    # The cell that BufferControl adds for a cursor at the end is not text.
    if tail and fragment_list_len(tail) == 1 and tail[0][1] == " ":
        tail = tail[:0]
    fragments: StyleAndTextTuples = [*head, (GHOST_CLASS, ghost), *tail, ("", " ")]
    return [list(piece) for piece in split_lines(fragments)]
