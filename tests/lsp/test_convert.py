from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from lsprotocol import types

from completion_server.document import Document, LineBuffer, Position, PositionEncoding
from completion_server.lsp.convert import (
    completion_to_lsp,
    position_encoding,
    position_from_lsp,
    position_to_lsp,
    selected_from_lsp,
    trigger_from_lsp,
)
from completion_server.request import Completion, CompletionItem, FinishReason, SelectedCompletion, TriggerKind
from tests.document.strategies import encodings, places, texts

UTF16 = PositionEncoding.UTF16


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (None, "utf-16"),
        ([], "utf-16"),
        (["weird"], "utf-16"),
        (["utf-8", "utf-16"], "utf-8"),
        (["utf-16", "utf-8"], "utf-16"),
        (["weird", "utf-32", "utf-8"], "utf-32"),
    ],
)
def test_the_clients_first_known_encoding_is_taken(offered: Any, expected: str) -> None:
    general = types.GeneralClientCapabilities(position_encodings=offered)
    assert position_encoding(types.ClientCapabilities(general=general)).value == expected
    assert position_encoding(types.ClientCapabilities()).value == "utf-16"


@given(texts, places, encodings)
def test_positions_of_a_snapshot_are_those_of_the_buffer(
    text: str, place: tuple[int, int], encoding: PositionEncoding
) -> None:
    document = Document.from_text(text)
    position = position_from_lsp(document, types.Position(*place), encoding)
    assert position == LineBuffer(text).position_from_client(*place, encoding)
    there = position_to_lsp(document, position, encoding)
    assert position_from_lsp(document, there, encoding) == position


def test_items_carry_ranges_in_client_units() -> None:
    document = Document.from_text("😋 = x")
    item = CompletionItem("y", Position(0, 4), Position(0, 5))
    reply = completion_to_lsp(Completion((item,), FinishReason.STOP), document, UTF16)
    (sent,) = reply.items
    assert sent.insert_text == "y"
    assert sent.range == types.Range(types.Position(0, 5), types.Position(0, 6))


def test_no_more_items_than_asked_for() -> None:
    document = Document.from_text("")
    items = tuple(CompletionItem(text, Position(0, 0), Position(0, 0)) for text in "abcd")
    completion = Completion(items, FinishReason.STOP)
    assert len(completion_to_lsp(completion, document, UTF16, max_items=3).items) == 3
    assert [item.insert_text for item in completion_to_lsp(completion, document, UTF16).items] == ["a"]


def test_only_items_that_extend_the_selected_entry_are_sent() -> None:
    document = Document.from_text("foo.ba")
    start, end = Position(0, 4), Position(0, 6)
    selected = SelectedCompletion(start, end, "bar")
    items = (
        CompletionItem("bat()", start, end),
        CompletionItem("bar()", end, end),
        CompletionItem("bar(x)", start, end),
    )
    reply = completion_to_lsp(Completion(items, FinishReason.STOP), document, UTF16, selected, max_items=3)
    assert [item.insert_text for item in reply.items] == ["bar(x)"]


def test_context_is_read() -> None:
    document = Document.from_text("foo.ba")
    range_ = types.Range(types.Position(0, 6), types.Position(0, 4))
    info = types.SelectedCompletionInfo(range=range_, text="bar")
    kind = types.InlineCompletionTriggerKind.Invoked
    context = types.InlineCompletionContext(trigger_kind=kind, selected_completion_info=info)
    assert trigger_from_lsp(context) is TriggerKind.INVOKED
    selected = selected_from_lsp(document, context, UTF16)
    assert selected == SelectedCompletion(Position(0, 4), Position(0, 6), "bar")
    assert selected_from_lsp(document, types.InlineCompletionContext(kind), UTF16) is None
