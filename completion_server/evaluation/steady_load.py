"""Requests at a steady rate, answered or not: does an edit ever wait behind the model?

The messages are sent on a clock that does not wait for replies. How long an edit waits is measured twice. The
server tells the time from an edit's last byte to its being applied. From outside, right after each ``didChange``
comes a small request that the server answers at once and in order, so that its reply proves the edit to be
applied: that time is never shorter than what the edit waited, and also holds both pipes, this client's own work,
and waiting for a free processor. A control, the same load with suggestions paused, tells how much that is.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from completion_server.document import Position
from completion_server.evaluation.endurance_documents import LongDocument
from completion_server.evaluation.latency import quantile
from completion_server.evaluation.soak import reply_problems
from completion_server.lsp.client import EditorClient, ReplyCounts
from completion_server.request import TriggerKind

_MAX_WAIT_MS = 5.0
_CONTROL_SECONDS = 10.0
_EDITS_PER_LOOK = 400  # the server remembers the last 1000
_LEAVE_SECONDS = 30.0
_PROBE_URI = "file:///bench/never-opened"
Progress = Callable[[str, "float | None"], None]


@dataclass(frozen=True)
class LoadPlan:
    """Requests a second for so long; how many of them are cancelled, and how many asked for on request."""

    seconds: float = 300.0
    rate: float = 50.0
    cancelled_share: float = 0.3
    on_request_share: float = 0.05
    seed: int = 1


@dataclass(frozen=True)
class Waits:
    """How long edits waited, in ms."""

    count: int
    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Waits:
        if not values:
            return cls(0, 0.0, 0.0, 0.0)
        return cls(
            len(values), *(round(each, 2) for each in (quantile(values, 0.5), quantile(values, 0.99), max(values)))
        )


@dataclass(frozen=True)
class LoadReport:
    """What was seen. ``problems`` are the criteria that were not met, in words."""

    change_wait_ms: Waits
    """As the server tells it; this is what has to be short."""
    round_trip_ms: Waits
    """As the client sees it."""
    control_round_trip_ms: Waits
    """As the client sees it with suggestions paused."""
    requests_per_second: float
    counts: Mapping[str, int]
    num_forward_passes: int
    """What the model did meanwhile; without work there is nothing to wait behind."""
    replies: ReplyCounts

    @property
    def problems(self) -> list[str]:
        found = reply_problems(self.replies)
        if self.change_wait_ms.p99 >= _MAX_WAIT_MS:
            found.append(f"one edit in a hundred waited for {self.change_wait_ms.p99:.1f} ms or longer")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"passed": not self.problems, "problems": self.problems, **asdict(self)}


async def steady_load(
    editor: EditorClient, documents: Sequence[LongDocument], plan: LoadPlan, progress: Progress
) -> LoadReport:
    """Ask ``plan.rate`` times a second for ``plan.seconds``."""
    load = _Load(editor, documents, plan)
    for document in documents:
        editor.open(document.uri, document.text, document.language_id)
    await editor.execute_command("completionServer.pause")
    control = _Load(editor, documents, plan)
    await control.run(min(plan.seconds, _CONTROL_SECONDS), progress)
    for document in documents:  # as they were
        editor.close(document.uri)
        editor.open(document.uri, document.text, document.language_id)
    await editor.execute_command("completionServer.resume")
    passes_before = await _num_forward_passes(editor)
    elapsed = await load.run(plan.seconds, progress)
    return LoadReport(
        Waits.of(load.waits),
        Waits.of(load.round_trips),
        Waits.of(control.round_trips),
        round(load.counts["requests"] / elapsed, 1),
        dict(load.counts),
        await _num_forward_passes(editor) - passes_before,
        editor.reply_counts,
    )


async def _num_forward_passes(editor: EditorClient) -> int:
    status = await editor.execute_command("completionServer.status")
    model = status.get("model")
    totals = model.get("totals") if isinstance(model, dict) else None
    number = totals.get("num_forward_passes", 0) if isinstance(totals, dict) else 0
    return int(number)


class _Load:
    """Sends on a clock, and keeps what came back."""

    def __init__(self, editor: EditorClient, documents: Sequence[LongDocument], plan: LoadPlan) -> None:
        self.waits: list[float] = []
        self.round_trips: list[float] = []
        self.counts: Counter[str] = Counter(requests=0, cancelled=0, with_text=0)
        self._editor = editor
        self._documents = documents
        self._plan = plan
        self._rng = random.Random(plan.seed)
        self._typed: dict[str, Position] = {}
        self._num_unseen = 0
        self._cursor = "", Position(0, 0)
        self._tasks: set[asyncio.Future[Any]] = set()

    async def run(self, seconds: float, progress: Progress) -> float:
        """Ask for so long. Returns the seconds from the first request to the last."""
        plan, began = self._plan, time.perf_counter()
        for number in range(int(seconds * plan.rate)):
            await asyncio.sleep(max(0.0, began + number / plan.rate - time.perf_counter()))
            if number % max(int(plan.rate), 1) == 0:
                progress(f"load: second {int(number / plan.rate) + 1} of {seconds:.0f}", None)
            self._start(self._step())
            if number % _EDITS_PER_LOOK == _EDITS_PER_LOOK - 1:
                self._start(self._read_waits())
        elapsed = time.perf_counter() - began
        await asyncio.wait(self._tasks, timeout=_LEAVE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await self._read_waits()
        return elapsed

    async def _read_waits(self) -> None:
        """Take over what the server measured since the last look."""
        num_unseen, self._num_unseen = self._num_unseen, 0
        status = await self._editor.execute_command("completionServer.status", {"measurements": True})
        self.waits += status["change_wait_ms"][-num_unseen:] if num_unseen else []

    async def _probe(self) -> None:
        """Edit a document and wait until that is applied."""
        self._edit(self._rng.choice(self._documents))
        self._num_unseen += 1
        began = time.perf_counter()
        await self._editor.execute_command("completionServer.explain", _PROBE_URI)
        self.round_trips.append((time.perf_counter() - began) * 1000)

    def _start(self, work: Any) -> asyncio.Future[Any]:
        task: asyncio.Future[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _step(self) -> None:
        """An edit, the probe, and a request at the cursor, sent at once one after the other."""
        probing = self._start(self._probe())
        await asyncio.sleep(0)  # the edit and the probe are on their way
        uri, position = self._cursor
        is_on_request = self._rng.random() < self._plan.on_request_share
        trigger = TriggerKind.INVOKED if is_on_request else TriggerKind.AUTOMATIC
        asking = asyncio.ensure_future(self._editor.inline_completion(uri, position, trigger))
        self.counts["requests"] += 1
        if self._rng.random() < self._plan.cancelled_share:
            await asyncio.sleep(self._rng.uniform(0, 0.1))
        else:
            await asyncio.wait({asking})
        await probing
        if asking.done():
            self.counts["with_text"] += bool(asking.result().items)
            return
        asking.cancel()
        await asyncio.wait({asking})
        self.counts["cancelled"] += 1

    def _edit(self, document: LongDocument) -> None:
        """Type a character, or take back the one typed at the last visit."""
        uri = document.uri
        if (typed := self._typed.pop(uri, None)) is not None:
            cursor = Position(typed.line, typed.column - 1)
            self._editor.delete(uri, cursor, typed)
        else:
            line = self._rng.randrange(len(document.lines))
            before = Position(line, len(document.lines[line].rstrip("\r\n")) // 2)
            self._editor.insert(uri, before, self._rng.choice("aeiou_(."))
            cursor = self._typed[uri] = Position(line, before.column + 1)
        self._cursor = uri, cursor
