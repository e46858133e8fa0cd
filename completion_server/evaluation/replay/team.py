"""Many typists at once against one model server, each with a language server of its own as in an editor window."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from completion_server.evaluation.replay.driver import Clock, SessionDriver, SessionRun, WallClock
from completion_server.evaluation.replay.figures import Quantiles
from completion_server.evaluation.replay.peer import Peer, RequestCounts, Usage
from completion_server.evaluation.replay.plan import KINDS, make_session
from completion_server.evaluation.replay.process_tree import cpu_seconds
from completion_server.evaluation.replay.session import Session
from completion_server.evaluation.replay.source import SourceFile

_MAX_START_S = 3.0


class TeamPeer(Peer, Protocol):
    """A language server that asks a model server and counts what it asks."""

    async def counts(self) -> RequestCounts: ...


@dataclass(frozen=True)
class TeamPlan:
    """How all typists type."""

    seconds: float
    kinds: tuple[str, ...] = KINDS
    num_keys: int = 60
    """Keys per session; when one is over the typist begins the next, in another file."""
    pace: float = 1.0
    debounce_ms: float = 0.0
    """How long an editor waits for the next key before it asks."""
    seed: int = 1


@dataclass(frozen=True)
class TypistRun:
    """What one typist typed and was shown."""

    sessions: tuple[SessionRun, ...]
    typing_s: float
    counts: RequestCounts
    client_cpu_s: float


@dataclass(frozen=True)
class TeamFigures:
    """One number of typists. Times are ms from the key, an editor's own wait included."""

    num_typists: int
    typist_minutes: float
    num_keys: int
    ghost_text_ms: Quantiles
    """Over all keys that had ghost text before the next one."""
    asked_ghost_text_ms: Quantiles
    """The same where the model server was asked for it, and not the completion cache."""
    share_with_text: float
    """Keys with ghost text before the next key, of all keys."""
    share_remembered: float | None
    """Answers from the completion cache, of all answers."""
    counts: RequestCounts
    share_within_deadline: float | None
    """Requests that were answered to their end in time, of those sent and not overtaken by a key."""
    share_cancelled: float | None
    """Requests overtaken by a key, of those sent."""
    requests_per_typist_minute: float
    requests_per_second: float
    tokens_per_second_per_typist: float
    prompt_tokens_per_request: float | None
    """Of answered requests."""
    prefilled_tokens_per_request: float | None
    """The same without what the model server had in its prefix cache; None where no server told."""
    tokens_per_request: float | None
    server_cpu_s_per_typist_minute: float | None
    """Of a model server on this machine."""
    client_cpu_s_per_typist_minute: float
    """Of the language servers."""
    num_errors: int
    """Requests that failed, and those not sent because the server was not there."""


@dataclass
class _Typist:
    peer: TeamPeer
    sessions: Iterator[tuple[str, Session]]
    runs: list[SessionRun] = field(default_factory=list)


async def play_team(
    peers: Sequence[TeamPeer],
    sources: Sequence[SourceFile],
    plan: TeamPlan,
    server_pids: Sequence[int] = (),
    clock: Clock | None = None,
) -> TeamFigures:
    """Every peer's typist types for ``plan.seconds``. ``server_pids``: the model server's, where it is here.

    Typists begin within three seconds of each other, with sessions of their own. The same seed gives the same, and
    another number of typists gives others, so that no run finds its text in the model server's prefix cache.
    """
    clock = clock or WallClock()
    rng = random.Random(f"team/{plan.seed}/{len(peers)}")
    before = sum(map(cpu_seconds, server_pids))
    typing = [
        asyncio.ensure_future(
            _type(
                _Typist(peer, _sessions(sources, plan, f"{len(peers)}/{number}")),
                rng.uniform(0, _MAX_START_S),
                plan,
                clock,
            )
        )
        for number, peer in enumerate(peers)
    ]
    try:
        runs = await asyncio.gather(*typing)
    finally:
        for task in typing:
            task.cancel()
        await asyncio.wait(typing)
    server_cpu_s = sum(map(cpu_seconds, server_pids)) - before if server_pids else None
    return summarize_team(runs, server_cpu_s)


def summarize_team(runs: Sequence[TypistRun], server_cpu_s: float | None) -> TeamFigures:
    """Figures over all typists of one run."""
    events = [event for run in runs for session in run.sessions for event in session.events]
    answered = [event for event in events if event.reply_ms is not None]
    with_text = [event for event in answered if event.text]
    asked = [event for event in answered if event.usage.is_known and event.usage.num_prompt_tokens]
    from_model = [event for event in with_text if not event.usage.is_remembered]
    counts = sum((run.counts for run in runs), RequestCounts())
    num_sent = counts.num_calls - counts.num_refused
    num_kept = num_sent - counts.num_cancelled
    num_bad = counts.num_past_deadline + counts.num_failed
    typing_s = sum(run.typing_s for run in runs)
    prefilled = sum(event.usage.num_prefilled_tokens for event in asked)
    prompts = sum(_num_prompt_tokens(event.usage) for event in asked)
    return TeamFigures(
        num_typists=len(runs),
        typist_minutes=round(typing_s / 60, 3),
        num_keys=len(events),
        ghost_text_ms=Quantiles.of(event.reply_ms for event in with_text if event.reply_ms is not None),
        asked_ghost_text_ms=Quantiles.of(event.reply_ms for event in from_model if event.reply_ms is not None),
        share_with_text=round(len(with_text) / len(events), 4) if events else 0.0,
        share_remembered=_ratio(sum(event.usage.is_remembered for event in answered), len(answered)),
        counts=counts,
        share_within_deadline=_ratio(num_kept - num_bad, num_kept),
        share_cancelled=_ratio(counts.num_cancelled, num_sent),
        requests_per_typist_minute=_rate(num_sent * 60, typing_s),
        requests_per_second=_rate(num_sent * len(runs), typing_s),
        tokens_per_second_per_typist=_rate(counts.num_pieces, typing_s),
        prompt_tokens_per_request=_ratio(prompts, len(asked)),
        prefilled_tokens_per_request=_ratio(prefilled, len(asked)) if prefilled else None,
        tokens_per_request=_ratio(counts.num_pieces, num_sent),
        server_cpu_s_per_typist_minute=None if server_cpu_s is None else _rate(server_cpu_s * 60, typing_s),
        client_cpu_s_per_typist_minute=_rate(sum(run.client_cpu_s for run in runs) * 60, typing_s),
        num_errors=counts.num_failed + counts.num_refused,
    )


async def _type(typist: _Typist, start_s: float, plan: TeamPlan, clock: Clock) -> TypistRun:
    began = clock.now()
    await clock.sleep_until(began + start_s)
    peer = typist.peer
    before, cpu_before, started_at = await peer.counts(), cpu_seconds(peer.pid), clock.now()
    end = asyncio.ensure_future(clock.sleep_until(started_at + plan.seconds))
    try:
        for uri, session in typist.sessions:
            driver = SessionDriver(
                peer, session, pace=plan.pace, clock=clock, uri=uri, debounce_ms=plan.debounce_ms
            )
            typist.runs.append(driver.run)
            if not await _play_until(driver, end):
                break
    finally:
        end.cancel()
    typing_s = clock.now() - started_at
    counts = (await peer.counts()).since(before)
    return TypistRun(tuple(typist.runs), typing_s, counts, cpu_seconds(peer.pid) - cpu_before)


async def _play_until(driver: SessionDriver, end: asyncio.Future[None]) -> bool:
    """Whether the session was played to its end; at ``end`` it is left as it is."""
    playing: asyncio.Future[Any] = asyncio.ensure_future(driver.play())
    try:
        await asyncio.wait([playing, end], return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not playing.done():
            playing.cancel()
            await asyncio.wait({playing})
            await driver.give_up()
    if playing.cancelled():
        return False
    playing.result()
    return not end.done()


def _sessions(sources: Sequence[SourceFile], plan: TeamPlan, typist: str) -> Iterator[tuple[str, Session]]:
    """Sessions without end, each under an address of its own: kinds in random order, all equally often."""
    rng = random.Random(f"typist/{plan.seed}/{typist}")
    for number in itertools.count():
        kinds = rng.sample(plan.kinds, len(plan.kinds))
        for kind in kinds:
            session = make_session(kind, sources, plan.num_keys, rng.randrange(1 << 30))
            yield f"file:///typist/{typist}/{number}/{kind}/{session.name}", session


def _num_prompt_tokens(usage: Usage) -> int:
    """As the model server counted, else as the language server guessed."""
    return usage.num_cached_tokens + usage.num_prefilled_tokens or usage.num_prompt_tokens


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _rate(amount: float, seconds: float) -> float:
    return round(amount / seconds, 3) if seconds else 0.0
