from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from completion_server.document import LineBuffer, Position
from completion_server.evaluation.typing_session import (
    TypedText,
    TypingSession,
    position_after,
    split_keys,
)
from completion_server.request import CompletionItem, TriggerKind

URI = "file:///w/a.py"


@dataclass(frozen=True)
class ScriptedReply:
    items: tuple[CompletionItem, ...]
    elapsed_ms: float = 5.0


class ScriptedEditor:
    """Keeps what a server would know; answers with the line so far, reversed."""

    def __init__(self) -> None:
        self.buffer = LineBuffer("")
        self.version = 0
        self.explained_version: int | None = None
        self.is_stuck = False
        self.num_withdrawn = 0

    def open(self, uri: str, text: str, language_id: str = "python") -> None:
        self.buffer, self.version = LineBuffer(text), 1

    def insert(self, uri: str, position: Position, text: str) -> None:
        self.buffer.replace(position, position, text)
        self.version += 1

    async def inline_completion(
        self, uri: str, position: Position, trigger: TriggerKind = TriggerKind.AUTOMATIC
    ) -> ScriptedReply:
        if self.is_stuck:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.num_withdrawn += 1
                raise
        text = self.buffer.snapshot_lines()[position.line][: position.column][::-1]
        return ScriptedReply((CompletionItem(text, position, position),) if text else ())

    async def execute_command(self, command: str, *arguments: Any) -> Any:
        assert (command, arguments) == ("completionServer.explain", ({"uri": URI},))
        return {"version": self.explained_version or self.version, "finish_reason": "stop"}


def plan(text: str, start: Position, typed: str) -> TypedText:
    return TypedText(URI, text, start, split_keys(typed))


@given(st.text(alphabet="ab \t\n\r", max_size=60))
def test_the_keys_write_the_text(text: str) -> None:
    assert "".join(split_keys(text)) == text


def test_a_line_end_brings_the_indentation() -> None:
    assert split_keys("a:\n    b\n\n  c") == ("a", ":", "\n    ", "b", "\n", "\n  ", "c")
    assert split_keys("    x") == (" ", " ", " ", " ", "x")
    assert split_keys("a\r\n\tb") == ("a", "\r\n\t", "b")


def test_the_cursor_follows_the_text() -> None:
    assert position_after(Position(3, 5), "ab") == Position(3, 7)
    assert position_after(Position(3, 5), "ab\n  c") == Position(4, 3)


async def test_every_key_is_typed_and_asked_about() -> None:
    editor = ScriptedEditor()
    typed = plan("top\n\nend\n", Position(1, 0), "ab\n  c")
    session = TypingSession(editor, typed)
    records = [record async for record in session.type_keys(typed.keys)]
    assert editor.buffer.text == "top\nab\n  c\nend\n"
    assert session.document.text == editor.buffer.text
    assert session.document.version == editor.version
    assert [(record.position, record.text) for record in records] == [
        (Position(1, 1), "a"),
        (Position(1, 2), "ba"),
        (Position(2, 2), "  "),
        (Position(2, 3), "c  "),
    ]
    assert all(record.trace["finish_reason"] == "stop" for record in records)


async def test_an_explanation_of_another_request_is_not_taken() -> None:
    editor = ScriptedEditor()
    session = TypingSession(editor, plan("", Position(0, 0), "a"))
    editor.explained_version = 99
    record = await session.ask("")
    assert record.trace == {}


async def test_a_request_that_is_overtaken_is_withdrawn() -> None:
    editor = ScriptedEditor()
    editor.is_stuck = True
    session = TypingSession(editor, plan("", Position(0, 0), ""))
    records = [record async for record in session.type_keys("abc", pace_ms=1)]
    assert [record.reply_ms for record in records] == [None, None, None]
    assert editor.num_withdrawn == 3
    assert editor.buffer.text == "abc"
