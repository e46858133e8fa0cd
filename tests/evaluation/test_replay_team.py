from __future__ import annotations

import asyncio
import os

import pytest

from completion_server.document import Document, Position
from completion_server.evaluation.replay.driver import KeyEvent, SessionDriver, SessionRun
from completion_server.evaluation.replay.peer import Answer, RequestCounts, Usage
from completion_server.evaluation.replay.process_tree import listener_pid
from completion_server.evaluation.replay.session import StepKind
from completion_server.evaluation.replay.source import SourceFile
from completion_server.evaluation.replay.team import TeamPlan, TypistRun, play_team, summarize_team
from tests.evaluation.test_replay_driver import TEXT, keys, next_two
from tests.support.replay_peers import ScriptedPeer, VirtualClock

KINDS = ("function", "accept", "delete")
BODY = "".join(f"    value_{number} = compute(first, second, {number})\n" for number in range(6))
SOURCES = [
    SourceFile(f"{name}.py", "python", "\n\n".join(f"def {name}_{number}(first):\n{BODY}" for number in range(12)))
    for name in ("one", "two", "three")
]


class CountingPeer(ScriptedPeer):
    """Counts as a language server does that asks a model server."""

    async def counts(self) -> RequestCounts:
        return RequestCounts(num_calls=len(self.asked), num_cancelled=self.num_cancelled, num_pieces=3)


class BrokenPeer(CountingPeer):
    async def ask(self, document: Document, position: Position, usage: Usage) -> Answer:
        if len(self.asked) == 20:
            raise ZeroDivisionError
        return await super().ask(document, position, usage)


def assert_nothing_is_left() -> None:
    """No request is under way."""
    assert asyncio.all_tasks() == {asyncio.current_task()}


def team(clock: VirtualClock, number: int, delay_ms: float = 10.0) -> list[CountingPeer]:
    return [CountingPeer(clock, lambda *_place: "x", delay_ms=delay_ms) for _ in range(number)]


async def test_everybody_types_until_the_time_is_over() -> None:
    clock = VirtualClock()
    peers = team(clock, 3)
    figures = await play_team(peers, SOURCES, TeamPlan(60.0, KINDS, num_keys=30), (), clock)
    assert figures.num_typists == 3
    assert figures.typist_minutes == pytest.approx(3.0, abs=0.05)
    assert figures.share_with_text == pytest.approx(1.0, abs=0.02)
    assert figures.ghost_text_ms.p50 == pytest.approx(10.0)
    assert figures.counts.num_calls == sum(len(peer.asked) for peer in peers)
    assert figures.counts.num_pieces == 0, "counted as a difference"
    assert figures.requests_per_typist_minute == pytest.approx(figures.counts.num_calls / 3, rel=0.02)
    assert figures.requests_per_second == pytest.approx(figures.counts.num_calls / 60, rel=0.02)
    assert figures.server_cpu_s_per_typist_minute is None
    for peer in peers:
        assert len(peer.opened) > 2, "one session after the other"
        assert len(set(peer.opened)) == len(peer.opened)
    assert len({peer.opened[0] for peer in peers}) == 3


async def test_the_same_seed_gives_the_same_typing_and_more_typists_other_typing() -> None:
    def opened(peers: list[CountingPeer]) -> list[list[str]]:
        return [peer.opened for peer in peers]

    async def play(number: int, seed: int) -> list[list[str]]:
        clock = VirtualClock()
        peers = team(clock, number)
        await play_team(peers, SOURCES, TeamPlan(20.0, KINDS, num_keys=10, seed=seed), (), clock)
        return opened(peers)

    first = await play(2, 1)
    assert first == await play(2, 1)
    assert first != await play(2, 2)
    assert first != (await play(3, 1))[:2]


async def test_a_slow_server_is_overtaken() -> None:
    clock = VirtualClock()
    figures = await play_team(team(clock, 2, 2000.0), SOURCES, TeamPlan(40.0, KINDS), (), clock)
    assert figures.share_cancelled == pytest.approx(1.0, abs=0.1)
    assert figures.share_with_text < 0.1
    assert_nothing_is_left()


async def test_a_typist_that_fails_ends_the_run_and_leaves_nothing_behind() -> None:
    clock = VirtualClock()
    peers = [*team(clock, 2, 2000.0), BrokenPeer(clock, lambda *_place: "x")]
    with pytest.raises(ZeroDivisionError):
        await play_team(peers, SOURCES, TeamPlan(60.0, KINDS), (), clock)
    assert_nothing_is_left()


async def test_a_debounce_keeps_fast_keys_from_the_server_and_counts_as_waiting() -> None:
    clock = VirtualClock()
    peer = ScriptedPeer(clock, next_two, delay_ms=20)
    run = await SessionDriver(peer, keys(gap_ms=100.0), clock=clock, debounce_ms=60.0).play()
    assert [event.reply_ms for event in run.events] == pytest.approx([80.0] * len(TEXT))
    peer = ScriptedPeer(clock, next_two, delay_ms=20)
    run = await SessionDriver(peer, keys(gap_ms=50.0), clock=clock, debounce_ms=60.0).play()
    assert [event.is_asked for event in run.events] == [False] * (len(TEXT) - 1) + [True]
    assert len(peer.asked) == 2, "the first of the document and the last"
    assert peer.num_cancelled == 0


def event(reply_ms: float | None, text: str = "", **usage: object) -> KeyEvent:
    return KeyEvent(StepKind.KEY, reply_ms, 0.0, text, usage=Usage(is_known=True, **usage), is_asked=True)  # type: ignore[arg-type]


def test_the_arithmetic() -> None:
    run = SessionRun("function", "a")
    run.events = [
        event(100.0, "abc", num_prompt_tokens=50, num_cached_tokens=90, num_prefilled_tokens=10),
        event(300.0, "abc", num_prompt_tokens=50, num_cached_tokens=70, num_prefilled_tokens=30),
        event(1.0, "abc", is_remembered=True),
        event(2.0),
        event(None),
    ]
    counts = RequestCounts(
        num_calls=12, num_refused=2, num_failed=1, num_cancelled=2, num_past_deadline=3, num_pieces=40
    )
    figures = summarize_team(
        [TypistRun((run,), 30.0, counts, 2.0), TypistRun((), 30.0, RequestCounts(), 1.0)], 6.0
    )
    assert (figures.num_keys, figures.share_with_text, figures.share_remembered) == (5, 0.6, 0.25)
    assert figures.asked_ghost_text_ms.count == 2
    assert figures.ghost_text_ms.count == 3
    assert figures.share_cancelled == 0.2  # 2 of 10 sent
    assert figures.share_within_deadline == 0.5  # of 8 not overtaken, 3 late and 1 failed
    assert figures.num_errors == 3
    assert figures.requests_per_typist_minute == 10.0
    assert figures.requests_per_second == pytest.approx(10 / 30, abs=1e-3)
    assert figures.tokens_per_request == 4.0
    assert figures.prompt_tokens_per_request == 100.0
    assert figures.prefilled_tokens_per_request == 20.0
    assert figures.server_cpu_s_per_typist_minute == 6.0
    assert figures.client_cpu_s_per_typist_minute == 3.0


def test_nothing_typed_is_no_figure_and_no_error() -> None:
    figures = summarize_team([TypistRun((), 0.0, RequestCounts(), 0.0)], None)
    assert figures.ghost_text_ms.p50 is None
    assert figures.share_within_deadline is None
    assert figures.requests_per_typist_minute == 0


async def test_who_listens() -> None:
    server = await asyncio.start_server(lambda *_streams: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert listener_pid(port) == os.getpid()
    assert listener_pid(port) is None
