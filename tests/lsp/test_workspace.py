"""Folders, watched files and recent edits: what is known of the workspace without reading it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lsprotocol import types

from completion_server.document import PositionEncoding
from completion_server.lsp.documents import DocumentStore
from completion_server.lsp.workspace import Folders
from completion_server.request import RecentEdit
from tests.support.raw_client import URI, RawClient, replacement


def folder(uri: str) -> types.WorkspaceFolder:
    return types.WorkspaceFolder(uri, uri.rpartition("/")[2])


def test_a_document_belongs_to_the_innermost_folder() -> None:
    folders = Folders()
    assert folders.root_of("file:///w/a.py") is None
    both = [folder("file:///w"), folder("file:///w/inner/")]
    folders.start(types.InitializeParams(capabilities=types.ClientCapabilities(), workspace_folders=both))
    assert folders.root_of("file:///w/a.py") == "file:///w"
    assert folders.root_of("file:///w/inner/a.py") == "file:///w/inner/"
    assert folders.root_of("file:///w2/a.py") == "file:///w"
    folders.change(types.WorkspaceFoldersChangeEvent(added=[folder("file:///w2")], removed=[both[1]]))
    assert folders.root_of("file:///w/inner/a.py") == "file:///w"
    assert folders.root_of("file:///w2/a.py") == "file:///w2"


def test_a_root_without_folders() -> None:
    folders = Folders()
    folders.start(types.InitializeParams(capabilities=types.ClientCapabilities(), root_uri="file:///w"))
    assert folders.root_of("file:///w/a.py") == "file:///w"


def edit(line: int) -> types.TextDocumentContentChangePartial:
    place = types.Position(line, 0)
    return types.TextDocumentContentChangePartial(range=types.Range(place, place), text="x")


def test_recent_edits_are_those_of_other_documents_the_latest_first() -> None:
    store = DocumentStore(PositionEncoding.UTF16)
    for uri in ("a", "b"):
        store.open(types.TextDocumentItem(uri, "python", 1, "\n" * 100))
    for version, line in enumerate((5, 6, 50, 7), 2):
        store.change("a", version, [edit(line)])
    store.change("b", 2, [edit(1)])
    assert store.view("b").recent_edits == (RecentEdit("a", 7), RecentEdit("a", 50), RecentEdit("a", 6))
    assert store.view("a").recent_edits == (RecentEdit("b", 1),)
    store.change("a", 9, [types.TextDocumentContentChangeWholeDocument(text="all new")])
    assert store.view("b").recent_edits[0] == RecentEdit("a", 7)
    store.close("a")
    assert store.view("b").recent_edits == ()


@pytest.fixture
def raw() -> Iterator[RawClient]:
    with RawClient() as client:
        yield client


def test_changed_saved_and_closed_files_are_passed_on(raw: RawClient) -> None:
    raw.ready()
    raw.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": "file:///w/b.py", "type": 2}]})
    raw.open("x = 1")
    raw.notify("textDocument/didSave", {"textDocument": {"uri": URI}})
    raw.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
    raw.open("x = 1")
    raw.items(raw.ask(0, 5))
    assert raw.wait_until_idle()["model"]["changedFiles"] == ["file:///w/b.py", URI, URI]


def test_clients_that_can_are_asked_to_watch(raw: RawClient) -> None:
    raw.ready({"workspace": {"didChangeWatchedFiles": {"dynamicRegistration": True}}})
    (request,) = raw.server_requests
    (registration,) = request["params"]["registrations"]
    assert registration["method"] == "workspace/didChangeWatchedFiles"
    patterns = [watcher["globPattern"] for watcher in registration["registerOptions"]["watchers"]]
    assert patterns[1:] == ["**/.gitignore", "**/.completionignore"]
    assert "py," in patterns[0]
    assert raw.leave() == 0


def test_the_folder_of_the_document_is_what_is_asked_with(raw: RawClient) -> None:
    folders = [{"uri": "file:///other", "name": "other"}, {"uri": "file:///work", "name": "work"}]
    raw.ready(workspaceFolders=folders)
    raw.open("x = 1")
    raw.items(raw.ask(0, 5))
    assert raw.command("explain")["root"] == "file:///work"
    event = {"added": [], "removed": [folders[1]]}
    raw.notify("workspace/didChangeWorkspaceFolders", {"event": event})
    raw.items(raw.ask(0, 5))
    assert raw.command("explain")["root"] == "file:///other"


def test_what_a_formatter_left_is_read_again_where_the_cursor_was(raw: RawClient) -> None:
    raw.ready()
    raw.open("x  =  1\ny = 2\n")
    raw.notify("textDocument/didSave", {"textDocument": {"uri": URI}})  # nobody has asked yet: no place is known
    raw.items(raw.ask(1, 5))
    raw.wait_until_idle()
    raw.change(2, replacement((0, 0), (0, 7), "x = 1"))
    raw.notify("textDocument/didSave", {"textDocument": {"uri": URI}})
    while not (places := raw.wait_until_idle()["model"]["places"]):
        pass
    assert places == [["y = 2\n", 5]]
