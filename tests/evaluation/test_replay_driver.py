from __future__ import annotations

import pytest

from completion_server.document import Document, Position
from completion_server.evaluation.replay.comparison import PlayOptions, play_in_turns, ratios
from completion_server.evaluation.replay.driver import SessionDriver
from completion_server.evaluation.replay.session import Place, Session, Step, StepKind
from tests.support.replay_peers import ScriptedPeer, VirtualClock

TEXT = "value = 1"


def keys(text: str = TEXT, gap_ms: float = 100.0, *more: Step) -> Session:
    steps = tuple(Step(StepKind.KEY, gap_ms, 0, number, number + 1) for number in range(len(text)))
    return Session("a.py", "function", "python", "top\n\nend\n", (Place(Position(1, 0), text),), more + steps)


def next_two(_document: Document, position: Position) -> str:
    """Right while the typed text is as planned."""
    return TEXT[position.column : position.column + 2]


async def test_at_pace_zero_every_key_waits_for_its_reply() -> None:
    clock = VirtualClock()
    peer = ScriptedPeer(clock, next_two, delay_ms=250)
    run = await SessionDriver(peer, keys(), pace=0, clock=clock).play()
    assert peer.buffer.text == keys().final_text
    assert [event.reply_ms for event in run.events] == pytest.approx([250.0] * len(TEXT))
    assert run.cold_ms == pytest.approx(250)
    assert peer.num_cancelled == 0
    assert [event.num_useful_chars for event in run.events] == [2] * (len(TEXT) - 2) + [1, 0]
    assert len(peer.asked) == len(TEXT) + 1
    assert run.totals is not None
    assert run.totals.num_passes == 2 * len(TEXT)


async def test_a_key_overtakes_the_request_before() -> None:
    clock = VirtualClock()
    peer = ScriptedPeer(clock, next_two, delay_ms=250)
    run = await SessionDriver(peer, keys(), pace=1, clock=clock).play()
    # Only after the last key is there time enough.
    assert [event.reply_ms for event in run.events[:-1]] == [None] * (len(TEXT) - 1)
    assert run.events[-1].reply_ms == pytest.approx(250)
    assert [event.waited_ms for event in run.events[:-1]] == pytest.approx([100.0] * (len(TEXT) - 1))
    assert peer.num_cancelled == len(TEXT) - 1
    assert [event.usage.num_generated_tokens for event in run.events] == [3] * len(TEXT)
    assert peer.buffer.text == keys().final_text


async def test_pace_stretches_the_gaps() -> None:
    clock = VirtualClock()
    run = await SessionDriver(ScriptedPeer(clock, next_two), keys(), pace=3, clock=clock).play()
    assert all(event.reply_ms == pytest.approx(10) for event in run.events)
    assert [event.waited_ms for event in run.events[:-1]] == pytest.approx([300.0] * (len(TEXT) - 1))


async def test_a_suggestion_is_accepted_and_typing_goes_on_behind_it() -> None:
    clock = VirtualClock()
    steps = (Step(StepKind.KEY, 100.0, 0, 0, 1), Step(StepKind.ACCEPT, 400.0))
    peer = ScriptedPeer(clock, lambda _document, position: TEXT[position.column :])
    session = Session(
        "a.py", "accept", "python", "\n", (Place(Position(0, 0), TEXT),), (*steps, *keys().steps[1:])
    )
    run = await SessionDriver(peer, session, pace=1, clock=clock).play()
    assert run.num_accepted_chars == len(TEXT) - 1
    assert [event.step for event in run.events] == [StepKind.KEY, StepKind.ACCEPT]
    assert peer.buffer.text == TEXT + "\n"


async def test_typing_along_asks_at_every_character() -> None:
    clock = VirtualClock()
    steps = (Step(StepKind.KEY, 100.0, 0, 0, 1), Step(StepKind.ALONG, 400.0, count=4))
    peer = ScriptedPeer(clock, lambda _document, position: "alXY" if position.column == 1 else "")
    session = Session("a.py", "along", "python", "\n", (Place(Position(0, 0), TEXT),), (*steps, *keys().steps[1:]))
    run = await SessionDriver(peer, session, pace=1, clock=clock).play()
    lines = [text.split("\n")[0] for text, _position in peer.asked[1:]]
    assert lines[:6] == ["v", "va", "val", "valX", "valXY", "val"]
    assert peer.buffer.text == TEXT + "\n"
    assert len(run.events) == len(TEXT) + 3


async def test_how_soon_a_server_rests_after_a_cancellation() -> None:
    clock = VirtualClock()
    peer = ScriptedPeer(clock, next_two, delay_ms=90)
    run = await SessionDriver(peer, keys(), pace=0, clock=clock).play(num_probes=3)
    assert len(run.cancel_to_idle_ms) == 3
    assert peer.num_cancelled == 3
    assert peer.buffer.text == keys().final_text


async def test_an_error_of_the_peer_ends_the_session() -> None:
    def fail(_document: Document, position: Position) -> str:
        if position.column == 3:
            raise ZeroDivisionError
        return ""

    clock = VirtualClock()
    for pace in (0, 1):
        driver = SessionDriver(ScriptedPeer(clock, fail), keys(), pace=pace, clock=clock)
        with pytest.raises(ZeroDivisionError):
            await driver.play()


async def test_sides_take_turns_and_are_compared() -> None:
    clock = VirtualClock()
    ours = ScriptedPeer(clock, next_two, delay_ms=20, name="ours")
    theirs = ScriptedPeer(clock, next_two, delay_ms=80, name="theirs")
    shown: list[str] = []
    sessions = [[keys(), keys()], [keys(), keys()]]
    runs = await play_in_turns(
        [ours, theirs], sessions, PlayOptions(pace=0), lambda text, _done: shown.append(text), clock
    )
    order = [text.rpartition(" ")[2] for text in shown]
    assert order == ["ours", "theirs", "theirs", "ours", "theirs", "ours", "ours", "theirs"]
    assert len(set(ours.opened)) == 4
    found = ratios(runs["ours"], runs["theirs"])
    ratio = found["ghost_text_ms_p50"]
    assert (ratio.value, ratio.lowest, ratio.highest) == pytest.approx((0.25, 0.25, 0.25))
    assert found["useful_chars"].value == 1
