from __future__ import annotations

import hashlib
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types

from completion_server.document import PositionEncoding
from completion_server.lsp.documents import MAX_OTHER_DOCUMENTS, DocumentStore
from tests.document.strategies import Edit, edits, encodings, model_edit, texts

URI = "file:///sample.py"


def item(text: str, uri: str = URI, version: int = 1) -> types.TextDocumentItem:
    return types.TextDocumentItem(uri=uri, language_id="python", version=version, text=text)


def partial(edit: Edit) -> types.TextDocumentContentChangePartial:
    first, last = types.Position(*edit.start), types.Position(*edit.end)
    return types.TextDocumentContentChangePartial(range=types.Range(first, last), text=edit.text)


def whole(text: str) -> types.TextDocumentContentChangeWholeDocument:
    return types.TextDocumentContentChangeWholeDocument(text=text)


changes = st.one_of(edits, texts)


@settings(max_examples=500)
@given(texts, st.lists(st.lists(changes, max_size=4), max_size=5), encodings)
def test_incremental_and_full_changes_mixed(
    text: str, notifications: list[list[Edit | str]], encoding: PositionEncoding
) -> None:
    store = DocumentStore(encoding)
    store.open(item(text))
    for number, notification in enumerate(notifications, start=2):
        events = [partial(entry) if isinstance(entry, Edit) else whole(entry) for entry in notification]
        assert store.change(URI, number, events)
        for entry in notification:
            text = model_edit(text, entry, encoding) if isinstance(entry, Edit) else entry
        snapshot = store.snapshot(URI)
        assert snapshot is not None
        assert (snapshot.text, snapshot.version, snapshot.language_id) == (text, number, "python")
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        assert store.describe()[0]["sha256"] == digest


def test_a_snapshot_is_made_once_per_version() -> None:
    store = DocumentStore()
    store.open(item("a"))
    first = store.snapshot(URI)
    assert store.snapshot(URI) is first
    store.change(URI, 2, [whole("b")])
    second = store.snapshot(URI)
    assert second is not first
    assert first is not None
    assert first.text == "a"


def test_changes_of_unknown_documents_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    store = DocumentStore()
    with caplog.at_level(logging.WARNING):
        for version in range(3):
            assert not store.change("file:///unknown.py", version, [whole("x")])
    assert len(caplog.records) == 1
    assert store.snapshot("file:///unknown.py") is None
    store.close("file:///unknown.py")


def test_versions_out_of_order_are_logged_once_and_still_applied(caplog: pytest.LogCaptureFixture) -> None:
    store = DocumentStore()
    store.open(item("a", version=7))
    with caplog.at_level(logging.WARNING):
        assert store.change(URI, 3, [whole("b")])
        assert store.change(URI, 3, [whole("c")])
    assert len(caplog.records) == 1
    snapshot = store.snapshot(URI)
    assert snapshot is not None
    assert (snapshot.text, snapshot.version) == ("c", 3)


def test_opening_twice_replaces() -> None:
    store = DocumentStore()
    store.open(item("a"))
    store.open(item("b", version=5))
    snapshot = store.snapshot(URI)
    assert snapshot is not None
    assert (snapshot.text, snapshot.version, len(store)) == ("b", 5, 1)


def test_the_view_holds_the_others_most_recently_used_first() -> None:
    store = DocumentStore()
    uris = [f"file:///{number}.py" for number in range(MAX_OTHER_DOCUMENTS + 4)]
    for uri in uris:
        store.open(item("x", uri))
    store.change(uris[0], 2, [whole("y")])
    store.snapshot(uris[1])
    view = store.view(uris[1], "file:///root")
    assert view.root_uri == "file:///root"
    assert [document.uri for document in view.documents] == [uris[0], *reversed(uris[5:])]
    store.close(uris[0])
    assert store.view(uris[1]).documents[0].uri == uris[-1]
    assert uris[0] not in store


def test_the_view_copies_nothing_that_has_not_changed() -> None:
    store = DocumentStore()
    for uri in ("file:///a.py", "file:///b.py"):
        store.open(item("x", uri))
    (first,) = store.view("file:///b.py").documents
    store.change("file:///b.py", 2, [whole("y")])
    assert store.view("file:///b.py").documents[0] is first
