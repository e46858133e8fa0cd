"""Several servers through the same sessions, in turns, so that what the machine does meanwhile hits all alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from completion_server.evaluation.replay.driver import Clock, SessionDriver, SessionRun
from completion_server.evaluation.replay.figures import Figures, summarize
from completion_server.evaluation.replay.peer import Peer
from completion_server.evaluation.replay.process_tree import cpu_seconds, resident_bytes
from completion_server.evaluation.replay.session import Session

OnSession = Callable[[str, float], None]
"""Takes what is being played, and the fraction done."""

_REST_STEP_S = 0.2
_REST_SHARE = 0.15
RATIO_NAMES = ("ghost_text_ms", "ghost_text_of_all_keys_ms", "ghost_text_or_next_key_ms", "asked_ghost_text_ms")


@dataclass(frozen=True)
class Ratio:
    """First server over second: over all repeats together, and the extremes of single repeats."""

    value: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class PlayOptions:
    """How sessions are played: ``pace`` as in ``SessionDriver``."""

    pace: float = 1.0
    num_probes: int = 0
    max_rest_s: float = 0.0
    """How long to wait at most, after a session, for work that a server does when nobody asks."""


async def play_in_turns(
    peers: Sequence[Peer],
    repeats: Sequence[Sequence[Session]],
    options: PlayOptions,
    on_session: OnSession,
    clock: Clock | None = None,
) -> dict[str, list[list[SessionRun]]]:
    """Every session of every repeat with every peer, one at a time. Result: per peer, per repeat, its runs.

    Who is first changes from session to session: the second one may find a warmer or a busier machine.
    """
    runs: dict[str, list[list[SessionRun]]] = {peer.name: [[] for _ in repeats] for peer in peers}
    num_all = sum(map(len, repeats)) * len(peers)
    num_done = 0
    for repeat, sessions in enumerate(repeats):
        for number, session in enumerate(sessions):
            start = (repeat + number) % len(peers)
            for peer in (*peers[start:], *peers[:start]):
                on_session(f"repeat {repeat + 1}: {session.kind}, {peer.name}", num_done / num_all)
                uri = f"file:///replay/{repeat}/{number}/{session.name}"
                runs[peer.name][repeat].append(await _play(peer, session, options, uri, clock))
                num_done += 1
    return runs


async def _play(peer: Peer, session: Session, options: PlayOptions, uri: str, clock: Clock | None) -> SessionRun:
    driver = SessionDriver(peer, session, pace=options.pace, clock=clock, uri=uri)
    run = await driver.play(options.num_probes)
    run.rss_bytes = resident_bytes(peer.pid)
    await _rest(peer.pid, options.max_rest_s)
    return run


async def _rest(pid: int, max_rest_s: float) -> None:
    """Until the process tree needs next to no CPU time: what it does must not slow the next one down."""
    before = cpu_seconds(pid)
    for _ in range(round(max_rest_s / _REST_STEP_S)):
        await asyncio.sleep(_REST_STEP_S)
        now = cpu_seconds(pid)
        if now - before < _REST_STEP_S * _REST_SHARE:
            return
        before = now


def ratios(ours: Sequence[Sequence[SessionRun]], theirs: Sequence[Sequence[SessionRun]]) -> dict[str, Ratio]:
    """p50 and p95 of the times to ghost text and characters of use, ours over theirs, as far as both have them."""
    found: dict[str, Ratio] = {}
    all_ours, all_theirs = _flat(ours), _flat(theirs)
    for name, read in _readers().items():
        pooled = _quotient(read(summarize(all_ours)), read(summarize(all_theirs)))
        pairs = zip(ours, theirs, strict=True)
        single = [_quotient(read(summarize(one)), read(summarize(other))) for one, other in pairs]
        known = [value for value in single if value is not None]
        if pooled is not None and known:
            found[name] = Ratio(pooled, min(known), max(known))
    return found


def _readers() -> dict[str, Callable[[Figures], float | None]]:
    readers = {
        f"{name}_{share}": partial(_quantile, name, share) for name in RATIO_NAMES for share in ("p50", "p95")
    }
    return {
        **readers,
        "useful_chars": lambda figures: figures.num_useful_chars,
        "cpu": lambda figures: figures.cpu_s_per_typing_minute,
    }


def _quantile(name: str, share: str, figures: Figures) -> float | None:
    value: float | None = getattr(getattr(figures, name), share)
    return value


def _quotient(ours: float | None, theirs: float | None) -> float | None:
    if ours is None or not theirs:
        return None
    return round(ours / theirs, 6)


def _flat(repeats: Sequence[Sequence[SessionRun]]) -> list[SessionRun]:
    return [run for runs in repeats for run in runs]
