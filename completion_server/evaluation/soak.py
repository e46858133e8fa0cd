"""A long run of simulated typing over the real server: does it keep its memory, its threads and its word?

Types into six documents as a person does, opens and closes them, cancels, asks on request, accepts, changes
settings and pauses. Samples the processes meanwhile, and measures their CPU time when all is idle in the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from completion_server.document import Position
from completion_server.evaluation.endurance_documents import LongDocument
from completion_server.evaluation.process_samples import Growth, Samples, cpu_seconds
from completion_server.evaluation.replay.rhythm import Rhythm
from completion_server.evaluation.typing_session import position_after, split_keys
from completion_server.lsp.client import EditorClient, ReplyCounts
from completion_server.request import CompletionItem, TriggerKind

_MAX_RSS_PERCENT = 2.0
_MAX_IDLE_PERCENT = 0.5  # what is shown as 0 %
_MAX_LINES = 4
_MAX_REPLY_SECONDS = 30.0
_SETTINGS: tuple[Mapping[str, Any], ...] = (
    {},
    {"generation": {"automaticMaxTokens": 32}},
    {"generation": {"suggestions": "eager"}},
    {"context": {"maxSuffixTokens": 128}},
    {"disabledLanguages": ["markdown"]},
)
Progress = Callable[[str, "float | None"], None]


@dataclass(frozen=True)
class SoakPlan:
    """How long, and how fast: at ``pace`` 1 keys come as from a practised programmer, at 0.5 twice as fast."""

    seconds: float = 3600.0
    idle_seconds: float = 60.0
    rest_seconds: float = 20.0
    """Between the typing and the measurement of the idle server, which may have started work ahead."""
    pace: float = 1.0
    seed: int = 1

    @property
    def early_at(self) -> float:
        """When memory is first looked at: after a sixth of the time, ten minutes of an hour."""
        return self.seconds / 6

    @property
    def window(self) -> float:
        """Samples over so many seconds make one figure."""
        return self.seconds / 12

    @property
    def sample_seconds(self) -> float:
        return min(5.0, self.window / 5)


@dataclass(frozen=True)
class SoakReport:
    """What was seen. ``problems`` are the criteria that were not met, in words."""

    growth: Mapping[str, Growth]
    idle_percent: Mapping[str, float]
    replies: ReplyCounts
    actions: Mapping[str, int]
    num_restarts: int
    documents_equal: bool

    @property
    def problems(self) -> list[str]:
        found: list[str] = []
        for role, growth in self.growth.items():
            if growth.rss_percent >= _MAX_RSS_PERCENT:
                found.append(f"{role}: memory grew by {growth.rss_percent:.1f} %")
            for name in ("num_descriptors", "num_threads"):
                first, last = getattr(growth, name)
                if last > first:
                    found.append(f"{role}: {name.removeprefix('num_')} grew from {first} to {last}")
        found += [
            f"{role}: {percent:.1f} % CPU while idle"
            for role, percent in self.idle_percent.items()
            if percent >= _MAX_IDLE_PERCENT
        ]
        found += reply_problems(self.replies)
        if self.num_restarts:
            found.append(f"{self.num_restarts} processes were started again")
        if not self.documents_equal:
            found.append("the server's documents differ from the editor's")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "passed": not self.problems,
            "problems": self.problems,
            "processes": {
                role: {**asdict(growth), "rss_percent": round(growth.rss_percent, 2)}
                for role, growth in self.growth.items()
            },
            "idle_cpu_percent": {role: round(percent, 2) for role, percent in self.idle_percent.items()},
            "replies": asdict(self.replies),
            "actions": dict(self.actions),
            "num_restarts": self.num_restarts,
            "documents_equal": self.documents_equal,
        }


def reply_problems(replies: ReplyCounts) -> list[str]:
    """What is wrong where not every request was answered once."""
    names = {
        "num_unanswered": "requests were never answered",
        "num_answered_twice": "replies came for requests that had one",
        "num_unknown": "replies came for requests that were never made",
    }
    return [f"{count} {text}" for name, text in names.items() if (count := getattr(replies, name))]


async def soak(
    editor: EditorClient,
    documents: Sequence[LongDocument],
    plan: SoakPlan,
    progress: Progress,
    settings: Mapping[str, Any],
) -> SoakReport:
    """Type for ``plan.seconds``, then look at the idle server. ``settings`` are the editor's, kept throughout."""
    samples, typist = Samples(editor.pid), _Typist(editor, documents, plan, settings)
    began = time.monotonic()
    sampling = asyncio.ensure_future(_sample(samples, plan, began, progress))
    try:
        await typist.type_until(began + plan.seconds)
    finally:
        sampling.cancel()
        await asyncio.wait({sampling})
    samples.take(time.monotonic() - began)
    await asyncio.sleep(plan.rest_seconds)
    progress("the idle server", None)
    idle_percent = await _idle_percent(editor.pid, plan.idle_seconds)
    documents_equal = await typist.documents_equal()
    return SoakReport(
        samples.growth(plan.early_at, plan.window),
        idle_percent,
        editor.reply_counts,
        typist.actions,
        samples.num_restarts,
        documents_equal,
    )


async def _sample(samples: Samples, plan: SoakPlan, began: float, progress: Progress) -> None:
    while True:
        at = time.monotonic() - began
        samples.take(at)
        minute = f"typing: minute {int(at // 60) + 1} of {plan.seconds / 60:.0f}"
        progress(minute, min(at / plan.seconds, 1.0))
        await asyncio.sleep(plan.sample_seconds)


async def _idle_percent(pid: int, seconds: float) -> dict[str, float]:
    before, began = cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(seconds)
    after, elapsed = cpu_seconds(pid), time.monotonic() - began
    return {role: (after[role] - spent) / elapsed * 100 for role, spent in before.items() if role in after}


class _Typist:
    """One person with an editor. After each burst of keys a document is as it was, so that none grows."""

    def __init__(
        self,
        editor: EditorClient,
        documents: Sequence[LongDocument],
        plan: SoakPlan,
        settings: Mapping[str, Any],
    ) -> None:
        self.actions: Counter[str] = Counter()
        self._editor = editor
        self._documents = documents
        self._pace = plan.pace
        self._settings = settings
        self._rng = random.Random(plan.seed)
        self._rhythm = Rhythm(self._rng)
        self._ends_at = 0.0

    async def type_until(self, ends_at: float) -> None:
        self._ends_at = ends_at
        for document in self._documents:
            self._open(document)
        while time.monotonic() < ends_at:
            await self._burst(self._rng.choice(self._documents))
            await self._between()
        self._editor.configure(self._settings)

    async def documents_equal(self) -> bool:
        """Whether the server holds the texts as they were at first."""
        status = await self._editor.execute_command("completionServer.status", {"documents": True})
        held = {each["uri"]: each["sha256"] for each in status["documents"]}
        own = {each.uri: hashlib.sha256(each.text.encode()).hexdigest() for each in self._documents}
        return held == own

    def _open(self, document: LongDocument) -> None:
        self._editor.open(document.uri, document.text, document.language_id)
        self.actions["opened"] += 1

    async def _burst(self, document: LongDocument) -> None:
        """Take a few lines out and type them again, asking at every key."""
        num_lines = self._rng.randint(1, _MAX_LINES)
        line = self._rng.randrange(len(document.lines) - num_lines - 1)
        start = Position(line, 0)
        text = "".join(document.lines[line : line + num_lines])
        await self._pause(self._rhythm.jump())
        self._editor.delete(document.uri, start, Position(line + num_lines, 0))
        position, asking = start, None
        for number, key in enumerate(keys := split_keys(text)):
            if time.monotonic() > self._ends_at:
                self._editor.insert(document.uri, position, "".join(keys[number:]))
                break
            self._editor.insert(document.uri, position, key)
            position = position_after(position, key)
            self.actions["keys"] += 1
            asking = asyncio.ensure_future(self._editor.inline_completion(document.uri, position))
            await self._pause(self._rhythm.key(key))
            await self._withdraw(asking)
        if asking is not None and not asking.cancelled() and self._rng.random() < 0.3:
            await self._accept(document, position, asking.result().items)

    async def _withdraw(self, asking: asyncio.Future[Any]) -> None:
        """The next key comes: as editors do, a request that is still open is cancelled."""
        if not asking.done():
            asking.cancel()
            await asyncio.wait({asking})
            self.actions["cancelled"] += 1
        elif not asking.cancelled():
            self.actions["with_text"] += bool(asking.result().items)

    async def _accept(self, document: LongDocument, position: Position, items: Sequence[CompletionItem]) -> None:
        """Insert a suggestion, look at it, and undo that."""
        if not items or items[0].start != position or items[0].end != position:
            return
        self.actions["accepted"] += 1
        self._editor.insert(document.uri, position, items[0].text)
        await self._pause(self._rhythm.look())
        self._editor.delete(document.uri, position, position_after(position, items[0].text))

    async def _between(self) -> None:
        """What happens between two places in a file; now and then, and often nothing."""
        steps = (self._reopen, self._ask_on_request, self._configure, self._switch_off, self._look, self._rest)
        step = self._rng.choice(steps)
        if self._rng.random() < 0.6 and time.monotonic() < self._ends_at:
            self.actions[step.__name__.strip("_")] += 1
            await step(self._rng.choice(self._documents))

    async def _reopen(self, document: LongDocument) -> None:
        self._editor.close(document.uri)
        await self._pause(self._rhythm.jump())
        self._open(document)

    async def _ask_on_request(self, document: LongDocument) -> None:
        line = self._rng.randrange(len(document.lines))
        position = Position(line, len(document.lines[line].rstrip("\r\n")))
        asking = asyncio.ensure_future(self._editor.inline_completion(document.uri, position, TriggerKind.INVOKED))
        await asyncio.wait({asking}, timeout=_MAX_REPLY_SECONDS)
        await self._withdraw(asking)

    async def _configure(self, _document: LongDocument) -> None:
        self._editor.configure({**self._settings, **self._rng.choice(_SETTINGS)})

    async def _switch_off(self, _document: LongDocument) -> None:
        await self._editor.execute_command("completionServer.pause")
        await self._pause(self._rhythm.look())
        await self._editor.execute_command("completionServer.resume")

    async def _look(self, document: LongDocument) -> None:
        await self._editor.execute_command("completionServer.explain", document.uri)
        await self._editor.execute_command("completionServer.status")

    async def _rest(self, _document: LongDocument) -> None:
        await self._pause(self._rng.uniform(3_000, 15_000))

    async def _pause(self, milliseconds: float) -> None:
        left = max(self._ends_at - time.monotonic(), 0.0)
        await asyncio.sleep(min(milliseconds * self._pace / 1000, left))
