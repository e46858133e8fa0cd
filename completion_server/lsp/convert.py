"""lsprotocol types to this package's own and back. Pure; knows nothing of the connection or the model.

LSP 3.18, "Position", "Inline Completion Request".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lsprotocol import types

from completion_server.config import EDITOR_SECTION
from completion_server.document import (
    Document,
    Position,
    PositionEncoding,
    column_in_line,
    units_from_column,
)
from completion_server.request import Completion, CompletionItem, SelectedCompletion, TriggerKind

_DRAFT_INVOKE = 0


def position_encoding(capabilities: types.ClientCapabilities) -> PositionEncoding:
    """The first of the client's encodings that this server has; utf-16 where it names none of them."""
    offered: Sequence[Any] = (capabilities.general and capabilities.general.position_encodings) or ()
    known = {encoding.value: encoding for encoding in PositionEncoding}
    for kind in offered:
        name = kind.value if isinstance(kind, types.PositionEncodingKind) else kind
        if name in known:
            return known[name]
    return PositionEncoding.UTF16


def position_from_lsp(document: Document, position: types.Position, encoding: PositionEncoding) -> Position:
    """A client position as line and code point, clamped to ``document``."""
    lines = document.lines
    if position.line >= len(lines):
        return Position(len(lines) - 1, len(lines[-1]))
    return Position(position.line, column_in_line(lines[position.line], position.character, encoding))


def position_to_lsp(document: Document, position: Position, encoding: PositionEncoding) -> types.Position:
    """A place in ``document`` in the client's units."""
    line = document.lines[position.line]
    return types.Position(position.line, units_from_column(line, position.column, encoding))


def trigger_from_lsp(context: types.InlineCompletionContext) -> TriggerKind:
    """Why the editor asks."""
    return TriggerKind(context.trigger_kind.value)


def selected_from_lsp(
    document: Document, context: types.InlineCompletionContext, encoding: PositionEncoding
) -> SelectedCompletion | None:
    """The entry chosen in the editor's completion list, if there is one."""
    info = context.selected_completion_info
    if info is None:
        return None
    start = position_from_lsp(document, info.range.start, encoding)
    end = position_from_lsp(document, info.range.end, encoding)
    return SelectedCompletion(min(start, end), max(start, end), info.text)


def completion_to_lsp(
    completion: Completion,
    document: Document,
    encoding: PositionEncoding,
    selected: SelectedCompletion | None = None,
    max_items: int = 1,
    command_for: Callable[[int], types.Command] | None = None,
) -> types.InlineCompletionList:
    """The reply: at most ``max_items`` items, each with its range.

    An item that does not extend the selected entry is left out, since editors show it in the entry's place
    (LSP 3.18, ``SelectedCompletionInfo``). ``command_for(number)`` is what the editor runs when it accepts the
    completion's item of that number.
    """
    items: list[types.InlineCompletionItem] = []
    for number, item in enumerate(completion.items):
        if len(items) < max_items and (selected is None or _extends(item, selected)):
            items.append(_item_to_lsp(item, document, encoding))
            items[-1].command = None if command_for is None else command_for(number)
    return types.InlineCompletionList(items=items)


def _extends(item: CompletionItem, selected: SelectedCompletion) -> bool:
    return item.start == selected.start and item.text.startswith(selected.text)


def _item_to_lsp(
    item: CompletionItem, document: Document, encoding: PositionEncoding
) -> types.InlineCompletionItem:
    start = position_to_lsp(document, item.start, encoding)
    end = start if item.end == item.start else position_to_lsp(document, item.end, encoding)
    return types.InlineCompletionItem(insert_text=item.text, range=types.Range(start=start, end=end))


def essential_initialize_params(params: object) -> dict[str, Any]:
    """The part of raw ``initialize`` params that this server reads."""
    if not isinstance(params, dict):
        return {"processId": None, "rootUri": None, "capabilities": {}}
    kept = ("processId", "rootUri", "rootPath", "initializationOptions", "workspaceFolders")
    capabilities = params.get("capabilities")
    capabilities = capabilities if isinstance(capabilities, dict) else {}
    return {
        "processId": None,
        "rootUri": None,
        **{name: params[name] for name in kept if name in params},
        "capabilities": {
            "general": _only(capabilities.get("general"), "positionEncodings"),
            "workspace": _only(capabilities.get("workspace"), "configuration", "didChangeConfiguration"),
            "window": _only(capabilities.get("window"), "workDoneProgress"),
            "experimental": _only(capabilities.get("experimental"), EDITOR_SECTION),
        },
    }


def with_trigger_kind(message: dict[str, Any]) -> dict[str, Any]:
    """An inline completion request whose context says why it asks.

    Drafts of the specification had the kind 0 (Invoke), and some clients send no context at all. Both mean a
    request of the user. What is there and cannot be understood stays as it is.
    """
    params = message.get("params")
    context = params.get("context") if isinstance(params, dict) else None
    if not isinstance(params, dict) or not (context is None or isinstance(context, dict)):
        return message
    context = context or {}
    kind = context.get("triggerKind")
    if kind is not None and (isinstance(kind, bool) or kind != _DRAFT_INVOKE):
        return message
    invoked = types.InlineCompletionTriggerKind.Invoked.value
    return {**message, "params": {**params, "context": {**context, "triggerKind": invoked}}}


def _only(group: object, *names: str) -> dict[str, Any]:
    return {name: group[name] for name in names if name in group} if isinstance(group, dict) else {}


def first_problem(error: BaseException) -> str:
    """Where decoding failed and with what kind of error; no values, since those may be source text."""
    path: list[str] = []
    while children := getattr(error, "exceptions", ()):
        error = children[0]
        for note in getattr(error, "__notes__", ()):
            path.append(str(getattr(note, "name", "")))
    where = ".".join(name for name in path if name)
    return f"params are not valid at {where or 'the top'} ({type(error).__name__})"
