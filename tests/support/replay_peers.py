"""A clock that only moves when everybody sleeps, and a completion server that is a function of the document."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
from collections.abc import Callable

from completion_server.document import Document, LineBuffer, Position
from completion_server.evaluation.replay.peer import Answer, Totals, Usage

_QUIET_TURNS = 20


class VirtualClock:
    """Time jumps to the next sleeper's instant once nothing else has happened for some turns of the loop."""

    def __init__(self) -> None:
        self._now = 0.0
        self._sleepers: list[tuple[float, int]] = []
        self._numbers = itertools.count()
        self._num_changes = 0

    def now(self) -> float:
        return self._now

    async def sleep_until(self, instant: float) -> None:
        sleeper = (instant, next(self._numbers))
        heapq.heappush(self._sleepers, sleeper)
        self._num_changes += 1
        try:
            await self._wait_for_turn(sleeper)
            self._now = max(self._now, instant)
        finally:
            self._sleepers.remove(sleeper)
            heapq.heapify(self._sleepers)
            self._num_changes += 1

    async def _wait_for_turn(self, sleeper: tuple[float, int]) -> None:
        num_seen, num_quiet = self._num_changes, 0
        while self._sleepers[0] != sleeper or num_quiet < _QUIET_TURNS:
            await asyncio.sleep(0)
            num_quiet = num_quiet + 1 if self._num_changes == num_seen else 0
            num_seen = self._num_changes


class ScriptedPeer:
    """Answers with ``suggest(document, position)`` after ``delay_ms``; keeps what a server would know."""

    def __init__(
        self,
        clock: VirtualClock,
        suggest: Callable[[Document, Position], str],
        *,
        delay_ms: float = 10.0,
        name: str = "scripted",
    ) -> None:
        self.clock = clock
        self.suggest = suggest
        self.delay_ms = delay_ms
        self.name = name
        self.pid = os.getpid()
        self.buffer = LineBuffer("")
        self.asked: list[tuple[str, Position]] = []
        self.opened: list[str] = []
        self.num_cancelled = 0
        self.num_looks_until_idle = 0

    async def open(self, document: Document) -> None:
        self.opened.append(document.uri)
        self.buffer = LineBuffer(document.text)

    def change(self, start: Position, end: Position, text: str) -> None:
        self.buffer.replace(start, end, text)

    async def ask(self, document: Document, position: Position, usage: Usage) -> Answer:
        assert document.text == self.buffer.text
        self.asked.append((document.text, position))
        usage.num_generated_tokens = 3
        usage.is_known = True
        try:
            await self.clock.sleep_until(self.clock.now() + self.delay_ms / 1000)
        except asyncio.CancelledError:
            self.num_cancelled += 1
            self.num_looks_until_idle = 2
            raise
        return Answer(self.suggest(document, position), self.clock.now())

    async def explain(self, usage: Usage) -> None:
        usage.finish_reason = "stop"

    async def totals(self) -> Totals:
        return Totals(2 * len(self.asked), len(self.asked), 3 * len(self.asked))

    async def is_idle(self) -> bool:
        self.num_looks_until_idle -= 1
        return self.num_looks_until_idle < 0
