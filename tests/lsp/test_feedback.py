"""What becomes of a suggestion, told to the log as numbers; no text ever reaches it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from completion_server.document import Document, Position
from completion_server.lsp.feedback import Feedback, count_kept
from completion_server.request import (
    CancellationToken,
    Completion,
    CompletionItem,
    CompletionRequest,
    Deadline,
    FinishReason,
    TriggerKind,
)
from completion_server.usage_log.store import UsageStore, read_rows

URI = "file:///a.py"


class Editor:
    """A connection without an editor: a document, a log, and calls that wait to be made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = UsageStore(path)
        self.text = "x = \n"
        self.later: list[Callable[[], None]] = []
        self.feedback = Feedback(
            SimpleNamespace(write=lambda change: change(self.store)),  # type: ignore[arg-type]
            lambda uri: Document.from_text(self.text, uri=uri),
            lambda _seconds, call: self.later.append(call),
        )

    def offer(self, *texts: str) -> str | None:
        document, place = Document.from_text(self.text, uri=URI, language_id="python"), Position(0, 4)
        token = CancellationToken()
        request = CompletionRequest(document, place, TriggerKind.AUTOMATIC, Deadline.never(), token)
        items = tuple(CompletionItem(text, place, place) for text in texts)
        completion = Completion(items, FinishReason.STOP, {"gate_score": 0.75})
        return self.feedback.offer(request, completion, "m", 12.0)

    def rows(self) -> list[dict[str, Any]]:
        return read_rows(self.path)


@pytest.fixture
def editor(tmp_path: Path):  # type: ignore[no-untyped-def]
    editor = Editor(tmp_path / "log.sqlite3")
    yield editor
    editor.store.close()


def test_what_is_left_while_typing_along_is_the_same_suggestion(editor: Editor) -> None:
    key = editor.offer("secret(1)")
    assert editor.offer("ecret(1)") == key
    assert editor.offer() is None
    assert editor.offer("other") != key
    first, second = editor.rows()
    assert (first["outcome"], second["outcome"]) == ("ignored", "open")
    assert (first["num_chars"], first["score"], first["latency_ms"]) == (9, 0.75, 12.0)
    assert "secret" not in str(editor.rows())


def test_sent_away_is_counted_once_and_takes_nothing_back(editor: Editor) -> None:
    first = editor.offer("one()")
    assert editor.feedback.reject(first)
    assert editor.feedback.reject(first)
    assert not editor.feedback.accept("unknown")
    assert not editor.feedback.reject("unknown")
    assert not editor.feedback.reject(["not", "a", "key"])
    second = editor.offer("two()")
    assert editor.feedback.accept(second)
    assert editor.feedback.reject(second)
    assert [row["outcome"] for row in editor.rows()] == ["ignored", "accepted"]


def test_a_suggestion_that_was_sent_away_is_not_accepted_by_typing_it(editor: Editor) -> None:
    key = editor.offer("one()")
    editor.feedback.reject(key)
    editor.feedback.see_change(URI, [SimpleNamespace(text="one()")])
    assert [row["outcome"] for row in editor.rows()] == ["ignored"]


def test_accepted_by_its_command_and_looked_at_later(editor: Editor) -> None:
    key = editor.offer("one()", "two_more()")
    assert key is not None
    command = editor.feedback.command_for(key, 1)
    assert command.arguments == [key, 1]
    assert editor.feedback.accept(*command.arguments)
    assert editor.feedback.accept(key, 1)  # told twice, counted once
    editor.text = "x = two_more(3)\n"
    (check,) = editor.later
    check()
    (row,) = editor.rows()
    assert (row["outcome"], row["num_accepted_chars"], row["num_kept_chars"]) == ("accepted", 10, 9)


def test_accepted_in_part_then_whole(editor: Editor) -> None:
    key = editor.offer("one two")
    editor.feedback.accept(key, 0, 3)
    assert [(row["outcome"], row["num_accepted_chars"]) for row in editor.rows()] == [("partial", 3)]
    editor.feedback.accept(key)
    editor.feedback.close_document(URI)
    assert [(row["outcome"], row["num_accepted_chars"]) for row in editor.rows()] == [("accepted", 7)]


def test_an_edit_that_inserts_the_rest_is_an_acceptance(editor: Editor) -> None:
    editor.offer("one()")
    editor.offer("ne()")
    editor.feedback.see_change(URI, [SimpleNamespace(text="n")])
    assert editor.rows()[0]["outcome"] == "open"
    editor.feedback.see_change(URI, [SimpleNamespace(text="ne()")])
    assert editor.rows()[0]["outcome"] == "accepted"
    editor.feedback.close_document(URI)
    assert editor.rows()[0]["outcome"] == "accepted"


@pytest.mark.parametrize("key", [None, 3, "unknown", {"id": 1}, ["x"]])
def test_unknown_keys_change_nothing(editor: Editor, key: object) -> None:
    editor.offer("one()")
    assert not editor.feedback.accept(key)
    assert not editor.feedback.confirm(key)
    assert [row["outcome"] for row in editor.rows()] == ["open"]


def test_odd_arguments_are_read_as_the_whole_first_item(editor: Editor) -> None:
    key = editor.offer("one()")
    assert editor.feedback.accept(key, -7, "many")
    assert editor.rows()[0]["num_accepted_chars"] == 5


@pytest.mark.parametrize(
    ("text", "document", "kept"),
    [
        ("a + b", "x = a + b\n", 5),
        ("a + b", "x = a + c\n", 4),
        ("a + b", "", 0),
        ("foo(\n    1)", "x = foo(\n    1)\n", 11),
        ("foo(\n    1)", "x = foo(\n", 5),
    ],
)
def test_kept_characters(text: str, document: str, kept: int) -> None:
    assert count_kept(text, Document.from_text(document), Position(0, 0)) == kept


def test_a_part_of_what_was_left_counts_from_the_beginning(editor: Editor) -> None:
    key = editor.offer("abc def ghi")
    assert editor.offer("def ghi") == key
    editor.feedback.accept(key, 0, 3, "def ghi")
    (row,) = editor.rows()
    assert (row["outcome"], row["num_accepted_chars"]) == ("partial", len("abc def"))
    editor.feedback.accept(key, 0, 3, "something else")
    assert editor.rows()[0]["num_accepted_chars"] == len("abc def")


@pytest.mark.parametrize("column", [0, 4_000, 600_000])
def test_kept_characters_of_a_long_line_are_looked_for_around_the_place(column: int) -> None:
    line = "-" * column + "x = a + b" + "-" * 1_000_000
    assert count_kept("a + b", Document.from_text(f"{line}\n"), Position(0, column + 4)) == 5
    assert count_kept("a * b", Document.from_text(f"{line}\n"), Position(0, column + 4)) == 0
