"""Long lines are data: of its own long line a request sees a window, of the others nothing.

All stages work on whole lines, and a line may have 5 MB. So the lines are cut once, before any stage, and what was
found is moved back to the document as it is. Places are in characters; the window begins at a multiple of some
hundred, so that what a model is shown stays the same while its user types.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from completion_server.document import LONG_LINE_CHARS, Document, Position, body_length, short_lines
from completion_server.request import Completion, CompletionItem, CompletionRequest, SelectedCompletion
from completion_server.secrets_filter import secret_spans

_STEP = 1_000
_STEPS_BEFORE = 3
_CHARS_AFTER = 1_000
_LEAD_CHARS = 4_000
"""Before the window: a secret that begins there must not be shown in part."""
_LINES_BEFORE, _LINES_AFTER = 4_000, 2_000
"""Around the cursor; no stage of a request looks further."""


@dataclass(frozen=True)
class LineWindow:
    """A request whose document has no long lines near the cursor.

    ``line`` is the cursor's; its first ``first_column`` characters are left out.
    """

    request: CompletionRequest
    line: int
    first_column: int = 0

    @classmethod
    def of(cls, request: CompletionRequest) -> LineWindow:
        """``request`` itself where no line is long."""
        line, lines = request.position.line, request.document.lines
        begin, end = max(line - _LINES_BEFORE, 0), line + _LINES_AFTER
        near = lines[begin:end]
        if max(map(len, near)) <= LONG_LINE_CHARS:
            return cls(request, line)
        own = lines[line]
        first, last = _window(own, request) if len(own) > LONG_LINE_CHARS else (0, body_length(own))
        kept = short_lines(near)
        kept[line - begin] = own[first:last] + own[body_length(own) :]
        document = replace(request.document, lines=(*lines[:begin], *kept, *lines[end:]))
        position = Position(line, request.position.column - first)
        selected = _selected_in(document, request.selected, line, first)
        return cls(replace(request, document=document, position=position, selected=selected), line, first)

    def moved_out(self, completion: Completion) -> Completion:
        """``completion`` of ``request`` for the document as it is."""
        return self._moved(completion, self.first_column)

    def moved_in(self, completion: Completion) -> Completion:
        """``completion`` of the document as it is for ``request``."""
        return self._moved(completion, -self.first_column)

    def _moved(self, completion: Completion, num_columns: int) -> Completion:
        if not num_columns:
            return completion
        items = tuple(
            CompletionItem(
                item.text, self._moved_place(item.start, num_columns), self._moved_place(item.end, num_columns)
            )
            for item in completion.items
        )
        return replace(completion, items=items)

    def _moved_place(self, place: Position, num_columns: int) -> Position:
        return Position(place.line, place.column + num_columns) if place.line == self.line else place


def _window(line: str, request: CompletionRequest) -> tuple[int, int]:
    """Where what is kept of the cursor's ``line`` begins and ends."""
    position, selected = request.position, request.selected
    column = position.column
    if selected is not None and selected.start.line == position.line:
        column = min(column, selected.start.column)
    first = max((column // _STEP - _STEPS_BEFORE) * _STEP, 0)
    before = max(first - _LEAD_CHARS, 0)
    for start, end in secret_spans(line[before : min(first + _LEAD_CHARS, column)]):
        if before + start < first < before + end:
            first = before + end
    return first, min(position.column + _CHARS_AFTER, body_length(line))


def _selected_in(
    document: Document, selected: SelectedCompletion | None, line: int, first_column: int
) -> SelectedCompletion | None:
    """``selected`` in ``document``; None where it is not in the window: then there is nothing to suggest."""
    if selected is None:
        return None
    places = [
        Position(each.line, each.column - first_column) if each.line == line else each
        for each in (selected.start, selected.end)
    ]
    is_inside = all(document.clamp(each) == each for each in places)
    return SelectedCompletion(places[0], places[1], selected.text) if is_inside else None
