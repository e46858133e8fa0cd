"""The suggestion shown in the terminal editor: asked for at every key, never waited for, typed along.

Knows a source of suggestions and the text; knows nothing of keys or of the screen.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from completion_server.cli.text_edit import edit_between, position_of
from completion_server.document import Position
from completion_server.errors import CompletionServerError
from completion_server.evaluation.typing_session import Reply
from completion_server.request import TriggerKind

_WORD = re.compile(r"\s*(?:\w+|[^\w\s]+)")


class SuggestionSource(Protocol):
    """The part of ``lsp.client.EditorClient`` that an editor needs."""

    def change(self, uri: str, start: Position, end: Position, text: str) -> None: ...

    async def inline_completion(
        self, uri: str, position: Position, trigger: TriggerKind = TriggerKind.AUTOMATIC
    ) -> Reply: ...

    async def execute_command(self, command: str, *arguments: Any) -> Any: ...


@dataclass(frozen=True)
class Suggestion:
    """``ghost`` continues the text at ``offset``."""

    offset: int
    ghost: str


class SuggestionLoop:
    """Keeps the server's text the same as the editor's, and at most one question open."""

    def __init__(
        self, source: SuggestionSource | None, uri: str, text: str, on_change: Callable[[], None]
    ) -> None:
        self._source = source
        self._uri = uri
        self._text = text
        self._on_change = on_change
        self._asking: asyncio.Task[None] | None = None
        self._asked_offset = -1
        self.current: Suggestion | None = None
        self.note = ""
        """Why nothing is shown, or how long the last reply took."""

    def connect(self, source: SuggestionSource, text: str) -> None:
        """From now on there is a server, and ``text`` is what it knows."""
        self._source, self._text = source, text

    def text_changed(self, text: str, offset: int) -> None:
        """The text is ``text`` with the cursor at ``offset``: tell the server and ask anew."""
        self._type_along(text, offset)
        self._tell(text)
        self.ask(offset)

    def cursor_moved(self, offset: int) -> None:
        """The cursor went elsewhere without any edit: what was suggested is for another place."""
        if offset != self._asked_offset:
            self._withdraw()
        if self.current is not None and self.current.offset != offset:
            self.current, self.note = None, ""
            self._on_change()

    def ask(self, offset: int, trigger: TriggerKind = TriggerKind.AUTOMATIC) -> None:
        """Ask for a suggestion at ``offset``; an older question is withdrawn."""
        self._withdraw()
        self._asked_offset = offset
        if self._source is not None:
            self._asking = asyncio.ensure_future(self._ask(self._source, offset, trigger))

    def dismiss(self) -> None:
        """Show nothing until the next key."""
        self._withdraw()
        if self.current is not None:
            self.current, self.note = None, "dismissed"
            self._on_change()

    def ghost_at(self, offset: int) -> str:
        """What is shown at ``offset``."""
        return self.current.ghost if self.current is not None and self.current.offset == offset else ""

    async def close(self) -> None:
        """Withdraw what is open."""
        asking = self._asking
        self._withdraw()
        if asking is not None:
            await asyncio.wait({asking})

    async def settle(self) -> None:
        """Return when no question is open."""
        while self._asking is not None and not self._asking.done():
            await asyncio.wait({self._asking})

    def _longer(self, offset: int, ghost: str) -> str:
        """What is shown already, if the reply is only its beginning: a suggestion does not shrink by itself."""
        shown = self.ghost_at(offset)
        return shown if ghost and shown.startswith(ghost) else ghost

    def _withdraw(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    def _type_along(self, text: str, offset: int) -> None:
        """Keep the rest of a suggestion whose beginning was typed, until the reply comes."""
        current, self.current = self.current, None
        if current is None or offset <= current.offset:
            return
        typed = text[current.offset : offset]
        is_the_only_edit = text[: current.offset] + text[offset:] == self._text
        if is_the_only_edit and current.ghost.startswith(typed) and current.ghost != typed:
            self.current = Suggestion(offset, current.ghost[len(typed) :])

    def _tell(self, text: str) -> None:
        edit = edit_between(self._text, text)
        self._text = text
        if edit is not None and self._source is not None:
            try:
                self._source.change(self._uri, edit.start, edit.end, edit.text)
            except (CompletionServerError, OSError) as error:
                self.note = str(error)

    async def _ask(self, source: SuggestionSource, offset: int, trigger: TriggerKind) -> None:
        text = self._text
        try:
            reply = await source.inline_completion(self._uri, position_of(text, offset), trigger)
            trace = (
                {} if reply.items else await source.execute_command("completionServer.explain", {"uri": self._uri})
            )
        except (CompletionServerError, OSError) as error:
            self.current, self.note = None, str(error)
        else:
            ghost = self._longer(offset, _ghost(text, offset, reply))
            self.current = Suggestion(offset, ghost) if ghost else None
            self.note = f"{reply.elapsed_ms:.0f} ms" if ghost else f"{reply.elapsed_ms:.0f} ms, {_reason(trace)}"
        self._on_change()


def first_word(ghost: str) -> str:
    """The part of ``ghost`` that one press of "accept a word" takes: white space, then a word or signs."""
    match = _WORD.match(ghost)
    return match[0] if match else ghost


def _ghost(text: str, offset: int, reply: Reply) -> str:
    """What the first item adds after the cursor; nothing if it would change what stands before it."""
    if not reply.items:
        return ""
    item = reply.items[0]
    place = position_of(text, offset)
    if item.start.line != place.line or item.end != place:
        return ""
    typed = text[offset - (place.column - item.start.column) : offset]
    return item.text[len(typed) :] if item.text.startswith(typed) else ""


def _reason(trace: Any) -> str:
    if not isinstance(trace, dict):
        return "no suggestion"
    reason = trace.get("reason") or trace.get("finish_reason") or "no suggestion"
    if reason == "skipped" and trace.get("trigger_reason"):
        reason = trace["trigger_reason"]
    return str(reason).replace("_", " ")
