"""Plays a session to a peer as an editor would: a key, a request, and its end when the next key comes first."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from completion_server.document import Document, LineBuffer, Position
from completion_server.evaluation.replay.peer import Peer, Totals, Usage
from completion_server.evaluation.replay.process_tree import cpu_seconds
from completion_server.evaluation.replay.session import Edit, Session, Step, StepKind, Typist, common_head
from completion_server.evaluation.typing_session import position_after

_FINAL_GAP_MS = 400.0
_MAX_COLD_SECONDS = 60.0
_MAX_IDLE_SECONDS = 10.0
_PROBE_MS = (5.0, 60.0)


class Clock(Protocol):
    """Time in seconds."""

    def now(self) -> float: ...

    async def sleep_until(self, instant: float) -> None: ...


class WallClock:
    """The machine's own."""

    def now(self) -> float:
        return time.perf_counter()

    async def sleep_until(self, instant: float) -> None:
        await asyncio.sleep(max(0.0, instant - time.perf_counter()))


@dataclass
class KeyEvent:
    """One change of the text and what was answered to it."""

    step: StepKind
    reply_ms: float | None = None
    """From the key to the reply; None when the next key came first."""
    waited_ms: float = 0.0
    """From the key to the next one, or to the reply where the next key waits for it."""
    text: str = ""
    num_useful_chars: int = 0
    """Characters shown that are what is typed next."""
    usage: Usage = field(default_factory=Usage)
    is_asked: bool = False
    """False where the next key came while an editor's own wait was not over."""


@dataclass
class SessionRun:
    """What one session with one peer gave."""

    kind: str
    peer: str
    events: list[KeyEvent] = field(default_factory=list)
    cold_ms: float | None = None
    """The first request after opening."""
    num_accepted_chars: int = 0
    typing_s: float = 0.0
    cpu_s: float = 0.0
    rss_bytes: int = 0
    totals: Totals | None = None
    """What the server computed while this session ran."""
    cancel_to_idle_ms: list[float] = field(default_factory=list)


class SessionDriver:
    """Plays one session to one peer; use once."""

    def __init__(
        self,
        peer: Peer,
        session: Session,
        *,
        pace: float = 1.0,
        clock: Clock | None = None,
        uri: str = "",
        debounce_ms: float = 0.0,
    ) -> None:
        """``pace`` stretches the recorded gaps; 0: the next key follows the reply.

        ``debounce_ms``: how long an editor waits for the next key before it asks; part of the time to the reply.
        """
        self._peer = peer
        self._session = session
        self._pace = pace
        self._debounce_ms = debounce_ms
        self._clock: Clock = clock or WallClock()
        self._typist = Typist(session)
        self._buffer = LineBuffer(session.text)
        self._version = 1
        self._uri = uri or f"file:///replay/{session.kind}/{session.name}"
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = 0.0
        self._next_at = 0.0
        self._suggestion = ""
        self.run = SessionRun(session.kind, peer.name)

    @property
    def document(self) -> Document:
        """The text as it is now."""
        return Document(self._uri, self._session.language_id, self._version, self._buffer.snapshot_lines())

    async def play(self, num_probes: int = 0) -> SessionRun:
        """Open the document, make every step, and try how soon the server rests after a cancellation."""
        await self._peer.open(self.document)
        await self._ask_cold()
        before, cpu_s = await self._peer.totals(), cpu_seconds(self._peer.pid)
        started_at = self._next_at = self._clock.now()
        for step in self._session.steps:
            await self._take(step)
        await self._wait(_FINAL_GAP_MS)
        await self._settle()
        self.run.typing_s = self._clock.now() - started_at
        self.run.cpu_s = cpu_seconds(self._peer.pid) - cpu_s
        after = await self._peer.totals()
        self.run.totals = None if before is None or after is None else after.since(before)
        rng = random.Random(self._session.name)
        for _ in range(num_probes):
            await self._probe_cancellation(rng.uniform(*_PROBE_MS))
        return self.run

    async def give_up(self) -> None:
        """After ``play`` was cancelled: end the request that is under way."""
        asking, self._asking = self._asking, None
        if asking is not None and not asking.done():
            await _cancel(asking)

    async def _take(self, step: Step) -> None:
        if self._typist.is_done_already(step):
            return
        await self._wait(step.gap_ms)
        edits = self._typist.edits(step, self._suggestion)
        for number, edit in enumerate(edits):
            if number:
                await self._wait(edit.gap_ms)
            await self._make(edit, step.kind)
        if step.kind is StepKind.ACCEPT:
            self.run.num_accepted_chars += sum(len(edit.text) for edit in edits)

    async def _ask_cold(self) -> None:
        """What an editor asks when the file is there. It pays for the whole prompt, so it is not a key."""
        began = self._clock.now()
        position, usage = self._session.places[0].position, Usage()
        asking = asyncio.ensure_future(self._peer.ask(self.document, position, usage))
        try:
            done, _ = await asyncio.wait({asking}, timeout=_MAX_COLD_SECONDS)
        except asyncio.CancelledError:
            await _cancel(asking)
            raise
        if done:
            self.run.cold_ms = (asking.result().received_at - began) * 1000
        else:
            await _cancel(asking)

    async def _wait(self, gap_ms: float) -> None:
        if self._pace > 0:
            self._next_at = max(self._next_at + gap_ms * self._pace / 1000, self._clock.now())
            await self._clock.sleep_until(self._next_at)
        elif self._asking is not None:
            await self._asking

    async def _make(self, edit: Edit, step: StepKind) -> None:
        """Change the text and ask. What was asked before and is not answered is given up."""
        await self._settle()
        event = KeyEvent(step)
        self.run.events.append(event)
        self._suggestion = ""
        self._buffer.replace(edit.start, edit.end, edit.text)
        self._version += 1
        # An editor has its text at hand; taking ours is no part of what is measured.
        document = self.document
        self._asked_at = self._clock.now()
        self._peer.change(edit.start, edit.end, edit.text)
        self._asking = asyncio.ensure_future(self._ask(event, edit, document, self._asked_at))

    async def _ask(self, event: KeyEvent, edit: Edit, document: Document, asked_at: float) -> None:
        if self._debounce_ms:
            await self._clock.sleep_until(asked_at + self._debounce_ms / 1000)
        event.is_asked = True
        # Not the typist's cursor: that is at the end already where one step makes several edits.
        position = position_after(edit.start, edit.text)
        answer = await self._peer.ask(document, position, event.usage)
        event.reply_ms = (answer.received_at - asked_at - answer.preparation_s) * 1000
        event.text = self._suggestion = answer.text
        event.num_useful_chars = len(common_head(answer.text, edit.expected))
        await self._peer.explain(event.usage)

    async def _settle(self) -> None:
        """The end of the request that is under way, answered or not."""
        asking, self._asking = self._asking, None
        if asking is None:
            return
        self.run.events[-1].waited_ms = (self._clock.now() - self._asked_at) * 1000
        if asking.done():
            asking.result()
        else:
            await _cancel(asking)

    async def _probe_cancellation(self, after_ms: float) -> None:
        """Ask at a changed place, give up after a moment, and see when the server rests; then undo."""
        start = self._typist.position
        end = Position(start.line, start.column + 1)
        self._buffer.replace(start, start, "(")
        self._peer.change(start, start, "(")
        asking = asyncio.ensure_future(self._peer.ask(self.document, end, Usage()))
        await self._clock.sleep_until(self._clock.now() + after_ms / 1000)
        if not asking.done():
            cancelled_at = self._clock.now()
            await _cancel(asking)
            while not await self._peer.is_idle() and self._clock.now() - cancelled_at < _MAX_IDLE_SECONDS:
                await asyncio.sleep(0)
            self.run.cancel_to_idle_ms.append((self._clock.now() - cancelled_at) * 1000)
        else:
            asking.result()
        self._buffer.replace(start, end, "")
        self._peer.change(start, end, "")


async def _cancel(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
