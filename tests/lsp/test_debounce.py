"""Waiting for the next key: only while keys overtake replies, and never longer than wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.document import Document, Position
from completion_server.lsp.debounce import Debounce
from completion_server.request import CancellationToken, CompletionRequest, Deadline, TriggerKind


def request_at(instant: float, uri: str = "a", trigger: TriggerKind = TriggerKind.AUTOMATIC) -> CompletionRequest:
    return CompletionRequest(
        document=Document.from_text("x", uri=uri),
        position=Position(0, 0),
        trigger=trigger,
        deadline=Deadline.never(),
        cancellation=CancellationToken(),
        arrived_at=instant,
    )


def typed(debounce: Debounce, *instants: float, uri: str = "a") -> CompletionRequest:
    """The last of the requests that arrive at ``instants``."""
    requests = [request_at(instant, uri) for instant in instants]
    for request in requests:
        debounce.note_key(request)
    return requests[-1]


def test_keys_faster_than_replies_wait_as_long_as_keys_usually_take() -> None:
    debounce = Debounce(0.5)
    debounce.note_reply(0.3, is_whole=True)
    assert debounce.due_at(typed(debounce, 0.0, 0.1, 0.2)) == pytest.approx(0.2 + 0.15)


def test_replies_faster_than_keys_wait_for_nothing() -> None:
    debounce = Debounce(0.5)
    debounce.note_reply(0.05, is_whole=True)
    assert debounce.due_at(typed(debounce, 0.0, 0.1, 0.2)) == 0.2


def test_a_wait_that_would_be_longer_than_wanted_is_none() -> None:
    debounce = Debounce(0.1)
    debounce.note_reply(0.3, is_whole=True)
    assert debounce.due_at(typed(debounce, 0.0, 0.1, 0.2)) == 0.2


def test_what_was_stopped_counts_only_where_it_took_longer_than_usual() -> None:
    debounce = Debounce(0.5)
    debounce.note_reply(0.05, is_whole=True)
    debounce.note_reply(0.01, is_whole=False)
    request = typed(debounce, 0.0, 0.1, 0.2)
    assert debounce.due_at(request) == 0.2
    for _ in range(3):
        debounce.note_reply(0.2, is_whole=False)
    assert debounce.due_at(request) > 0.2


@pytest.mark.parametrize("before", [(), (-5.0, -4.9, -4.8)])
def test_the_first_key_and_the_first_after_a_pause_wait_for_nothing(before: tuple[float, ...]) -> None:
    debounce = Debounce(0.5)
    debounce.note_reply(0.3, is_whole=True)
    assert debounce.due_at(typed(debounce, *before, 0.0)) == 0.0


def test_another_document_has_another_rhythm() -> None:
    debounce = Debounce(0.5)
    debounce.note_reply(0.3, is_whole=True)
    typed(debounce, 0.0, 0.1, 0.2)
    assert debounce.due_at(typed(debounce, 0.3, uri="b")) == 0.3


def test_by_hand_nothing_is_waited_for() -> None:
    debounce = Debounce(0.5)
    debounce.note_reply(0.3, is_whole=True)
    typed(debounce, 0.0, 0.1, 0.2)
    assert debounce.due_at(request_at(0.2, trigger=TriggerKind.INVOKED)) == 0.2


@given(
    st.floats(0, 2),
    st.lists(st.floats(0, 5), min_size=1, max_size=30),
    st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=30),
)
def test_no_wait_is_negative_or_longer_than_wanted(
    longest: float, gaps: list[float], replies: list[tuple[float, bool]]
) -> None:
    debounce = Debounce(longest)
    instant = 0.0
    for number, gap in enumerate(gaps):
        instant += gap
        request = typed(debounce, instant)
        if number < len(replies):
            seconds, is_whole = replies[number]
            debounce.note_reply(seconds, is_whole=is_whole)
        assert instant <= debounce.due_at(request) <= instant + longest + 1e-9
