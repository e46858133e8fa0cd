"""Types into a language server key by key, as an editor does, and keeps what came back for every key.

Drives only what any editor can do. Knows nothing of statistics or of how it is shown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from completion_server.document import Document, LineBuffer, Position, split_lines
from completion_server.request import CompletionItem, TriggerKind

_EXPLAIN = "completionServer.explain"


class Reply(Protocol):
    """What came back for one request."""

    @property
    def items(self) -> tuple[CompletionItem, ...]: ...

    @property
    def elapsed_ms(self) -> float: ...


class Editor(Protocol):
    """The part of ``lsp.client.EditorClient`` that typing needs."""

    def open(self, uri: str, text: str, language_id: str = "python") -> None: ...

    def insert(self, uri: str, position: Position, text: str) -> None: ...

    async def inline_completion(
        self, uri: str, position: Position, trigger: TriggerKind = TriggerKind.AUTOMATIC
    ) -> Reply: ...

    async def execute_command(self, command: str, *arguments: Any) -> Any: ...


@dataclass(frozen=True)
class KeyRecord:
    """One key press. ``reply_ms`` is None when the next key came before the reply."""

    typed: str
    position: Position
    """The cursor after the key."""
    reply_ms: float | None
    text: str = ""
    """The first item's text; empty when there was none."""
    trace: Mapping[str, Any] = field(default_factory=dict)
    """The server's explanation; empty when it speaks of another request."""


@dataclass(frozen=True)
class TypedText:
    """What to type where: ``keys`` go in at ``start`` of the document ``text``."""

    uri: str
    text: str
    start: Position
    keys: tuple[str, ...]
    language_id: str = "python"


def split_keys(text: str) -> tuple[str, ...]:
    """Key presses that write ``text``: a character each, but a line end brings the next line's indentation."""
    keys: list[str] = []
    for number, line in enumerate(split_lines(text)):
        body = line.lstrip(" \t") if number else line
        if number:
            keys[-1] += line[: len(line) - len(body)]
        if not body:
            continue
        end = len(body.rstrip("\r\n"))
        keys += [*body[:end], *([body[end:]] if body[end:] else [])]
    return tuple(keys)


class TypingSession:
    """One document being typed into. The text is kept here too, for whoever shows it."""

    def __init__(self, editor: Editor, plan: TypedText) -> None:
        self._editor = editor
        self._plan = plan
        self._buffer = LineBuffer(plan.text)
        self._num_edits = 0
        self.position = plan.start
        editor.open(plan.uri, plan.text, plan.language_id)

    @property
    def document(self) -> Document:
        """The text as it is now."""
        plan = self._plan
        return Document(plan.uri, plan.language_id, self._num_edits + 1, self._buffer.snapshot_lines())

    def insert(self, text: str) -> None:
        """Put ``text`` in at the cursor and move the cursor behind it."""
        start = self.position
        self._editor.insert(self._plan.uri, start, text)
        self._buffer.replace(start, start, text)
        self._num_edits += 1
        self.position = position_after(start, text)

    async def ask(self, typed: str) -> KeyRecord:
        """Ask for a suggestion at the cursor; ``typed`` is the key that led here."""
        position, version = self.position, self._num_edits + 1
        reply = await self._editor.inline_completion(self._plan.uri, position)
        trace = await self._editor.execute_command(_EXPLAIN, {"uri": self._plan.uri})
        is_ours = isinstance(trace, dict) and trace.get("version") == version
        # What replaces text after the cursor cannot be taken over by inserting it.
        text = reply.items[0].text if reply.items and reply.items[0].start == reply.items[0].end else ""
        return KeyRecord(typed, position, reply.elapsed_ms, text, trace if is_ours else {})

    async def type_keys(self, keys: Sequence[str], pace_ms: float = 0.0) -> AsyncIterator[KeyRecord]:
        """Type ``keys``, asking after each. ``pace_ms`` 0: the next key follows the reply.

        Otherwise a key comes every ``pace_ms``, answered or not, and a request that is overtaken is cancelled,
        as editors do.
        """
        began = time.perf_counter()
        for number, key in enumerate(keys, 1):
            self.insert(key)
            if pace_ms <= 0:
                yield await self.ask(key)
                continue
            position = self.position
            asking = asyncio.ensure_future(self.ask(key))
            wait_s = began + number * pace_ms / 1000 - time.perf_counter()
            await asyncio.sleep(max(0.0, wait_s))
            if not asking.done():
                asking.cancel()
                await asyncio.wait({asking})
            yield KeyRecord(key, position, None) if asking.cancelled() else asking.result()


def position_after(start: Position, text: str) -> Position:
    """Where the cursor is after ``text`` was put in at ``start``."""
    lines = split_lines(text)
    column = len(lines[-1]) if len(lines) > 1 else start.column + len(text)
    return Position(start.line + len(lines) - 1, column)
