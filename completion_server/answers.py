"""The answer to a request from the texts that were found, and what of it goes to the trace."""

from __future__ import annotations

from completion_server.document import Document, Position
from completion_server.gate.features import FEATURE_NAMES
from completion_server.gate.gate import Verdict
from completion_server.metrics import RequestTrace
from completion_server.request import Completion, CompletionItem, CompletionRequest, FinishReason, Insertion


def with_selection(request: CompletionRequest) -> tuple[Document, Position]:
    """The document as if the entry selected in the editor's completion list had been accepted."""
    selected = request.selected
    if selected is None:
        return request.document, request.position
    return request.document.with_replacement(selected.start, selected.end, selected.text)


def note_verdict(trace: RequestTrace, verdict: Verdict | None, is_shown: bool) -> None:
    if verdict is None or verdict.score is None:
        return
    trace.note(gate_score=round(verdict.score, 4), gate_threshold=verdict.threshold, is_hidden=not is_shown)
    trace.note(gate_features=dict(zip(FEATURE_NAMES, verdict.features or (), strict=False)))
    if not is_shown:
        trace.note(reason="probably wrong: hidden by generation.suggestions")


def answer(
    request: CompletionRequest, insertions: tuple[Insertion, ...], reason: FinishReason, trace: RequestTrace
) -> Completion:
    selected = request.selected
    start = request.position if selected is None else selected.start
    end = request.position if selected is None else selected.end
    head = "" if selected is None else selected.text
    items = tuple(
        CompletionItem(head + each.text, start, Position(end.line, end.column + each.num_replaced))
        for each in insertions
    )
    trace.note(num_items=len(items), num_shown_chars=len(items[0].text) if items else 0)
    return Completion(items, reason, trace.as_dict())
