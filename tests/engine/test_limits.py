"""Deadline and cancellation are seen between forward passes, and nothing that was computed is lost."""

from __future__ import annotations

import pytest

from completion_server.engine.decode import ChunkSizer
from completion_server.errors import ModelError
from completion_server.model import Prompt, SamplingParams
from completion_server.request import CancellationToken, Deadline, FinishReason
from tests.support.engines import CountingModel, generate, make_engine, make_prompt, shared_model

LONG = "def foo(self):\n    return retry()\n" * 12


class FakeClock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def counting_engine(per_pass: float = 0.0):  # type: ignore[no-untyped-def]
    """An engine whose forward passes each take ``per_pass`` seconds of a fake clock."""
    clock, counting = FakeClock(), CountingModel(shared_model("native:llama"))

    def tick() -> None:
        clock.now += per_pass

    counting.on_forward = tick
    return make_engine(model=counting), counting, clock


def test_deadline_during_prefill_returns_nothing_and_keeps_the_chunks() -> None:
    engine, counting, clock = counting_engine(per_pass=1.0)
    prompt = make_prompt(LONG)
    deadline = Deadline.after_ms(2500, clock=clock)
    result = engine.generate(prompt, SamplingParams(), (), deadline, CancellationToken())
    assert result.finish_reason is FinishReason.DEADLINE
    assert result.generations == ()
    assert len(counting.chunk_sizes) == 3  # the pass that crosses the deadline is the last
    again = generate(engine, prompt)
    assert again.stats.num_cached_tokens == sum(counting.chunk_sizes[:3])


def test_deadline_during_decode_returns_what_there_is() -> None:
    engine, counting, clock = counting_engine(per_pass=1.0)
    prompt = make_prompt("def foo", is_healed=False, stop_token_ids=frozenset())
    result = engine.generate(
        prompt, SamplingParams(max_new_tokens=50), (), Deadline.after_ms(4500, clock=clock), CancellationToken()
    )
    assert result.finish_reason is FinishReason.DEADLINE
    assert len(result.generations[0].token_ids) == 5
    assert len(counting.chunk_sizes) == 5


def test_a_deadline_that_has_passed_costs_no_forward_pass() -> None:
    engine, counting, clock = counting_engine()
    result = engine.generate(make_prompt(LONG), SamplingParams(), (), Deadline(0.0, clock), CancellationToken())
    assert result.finish_reason is FinishReason.DEADLINE
    assert counting.chunk_sizes == []


@pytest.mark.parametrize("num_passes", [1, 2, 3, 8])
def test_cancel_ends_within_one_forward_pass(num_passes: int) -> None:
    engine, counting, _clock = counting_engine()
    token = CancellationToken()

    def cancel_in_time() -> None:
        if len(counting.chunk_sizes) == num_passes - 1:
            token.cancel()

    counting.on_forward = cancel_in_time
    prompt = make_prompt(LONG, stop_token_ids=frozenset())
    result = engine.generate(prompt, SamplingParams(max_new_tokens=50), (), Deadline.never(), token)
    assert result.finish_reason is FinishReason.CANCELLED
    assert len(counting.chunk_sizes) == num_passes


def test_prefill_alone_stops_at_the_limits_too() -> None:
    engine, counting, clock = counting_engine(per_pass=1.0)
    fed = engine.prefill(make_prompt(LONG), Deadline.after_ms(1500, clock=clock), CancellationToken())
    assert fed == sum(counting.chunk_sizes)
    assert len(counting.chunk_sizes) == 2


def test_no_new_tokens_asked_for_gives_none() -> None:
    result = generate(make_engine(), make_prompt("def foo"), SamplingParams(max_new_tokens=0))
    assert result.generations == ()


def test_generation_ends_where_the_context_is_full() -> None:
    model = shared_model("native:llama")
    prompt = Prompt(tuple([1] * (model.max_context - 3)))
    result = generate(make_engine(), prompt, SamplingParams(max_new_tokens=50))
    assert result.finish_reason is FinishReason.LENGTH
    assert len(result.generations[0].token_ids) == 4


@pytest.mark.parametrize("num_tokens", [0, 512, 600])
def test_a_prompt_that_cannot_be_fed_is_an_error(num_tokens: int) -> None:
    with pytest.raises(ModelError):
        generate(make_engine(), Prompt(tuple([1] * num_tokens)))


def test_chunk_sizer_aims_at_its_target_and_stays_in_bounds() -> None:
    sizer = ChunkSizer(target_ms=50)
    for _ in range(30):
        sizer.learn(sizer.size, sizer.size * 0.5)  # 0.5 ms a token
    assert 95 <= sizer.size <= 105
    for _ in range(30):
        sizer.learn(sizer.size, 10_000)
    assert sizer.size == 16
    for _ in range(30):
        sizer.learn(sizer.size, 0.001)
    assert sizer.size == 512
    sizer.learn(1, 10_000)  # one decode step says nothing about chunks
    assert sizer.size == 512


def test_the_last_chunk_is_cut_to_the_time_that_remains() -> None:
    sizer = ChunkSizer(target_ms=50)
    for _ in range(30):
        sizer.learn(sizer.size, sizer.size * 0.5)  # 0.5 ms a token
    assert sizer.size_within(float("inf")) == sizer.size_within(51) == sizer.size
    assert 45 <= sizer.size_within(25) <= 55
    assert sizer.size_within(6) == 16
    assert sizer.size_within(3) == 0


def test_a_chunk_that_there_is_no_time_for_is_not_begun() -> None:
    engine, counting, clock = counting_engine()
    prompt = make_prompt(LONG)
    for _ in range(30):
        engine._sizer.target_ms = 50
        engine._sizer.learn(16, 160)  # 10 ms a token
    result = engine.generate(prompt, SamplingParams(), (), Deadline.after_ms(60, clock=clock), CancellationToken())
    assert result.finish_reason is FinishReason.DEADLINE
    assert counting.chunk_sizes == []
