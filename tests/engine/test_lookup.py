"""Look-up proposes what followed before, changes no output, and leaves off where it does not pay."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from completion_server.engine.engine import Engine, GenerationResult
from completion_server.engine.lookup import Lookup, LookupGauge
from completion_server.model import Prompt, SamplingParams
from tests.support.byte_tokenizer import VOCAB_SIZE
from tests.support.engines import generate, make_engine, make_prompt
from tests.support.tiny_models import SHAPES

NO_STOPS: frozenset[int] = frozenset()


class NeverGauge(LookupGauge):
    def allows(self) -> bool:
        return False


class AlwaysGauge(LookupGauge):
    def allows(self) -> bool:
        return True


def run(engine: Engine, gauge: LookupGauge, prompt: Prompt, sampling: SamplingParams) -> GenerationResult:
    engine._lookup_gauge = gauge
    return generate(engine, prompt, sampling)


@given(
    elsewhere=st.lists(st.integers(0, 3), max_size=20),
    token_ids=st.lists(st.integers(0, 3), max_size=30),
    more=st.lists(st.integers(0, 3), max_size=10),
)
def test_what_is_proposed_followed_the_last_earlier_occurrence(
    elsewhere: list[int], token_ids: list[int], more: list[int]
) -> None:
    lookup = Lookup(elsewhere, token_ids, AlwaysGauge())
    for token_id in more:
        lookup.append(token_id)
    held = elsewhere + token_ids + more
    proposed = list(lookup.propose(100))
    ends = [end for end in range(3, len(held)) if held[end - 3 : end] == held[-3:]]
    if not ends or len(token_ids) + len(more) < 3 or len(held) - ends[-1] < 4:
        assert proposed == []
    else:
        assert proposed == held[ends[-1] : ends[-1] + 4]
    assert lookup.propose(3) == ()


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=10, deadline=None)
@given(
    unit=st.sampled_from(["ab", "x = 1\n", "foo(é)"]),
    seed=st.integers(0, 3),
    temperature=st.sampled_from([0.0, 1.0]),
    elsewhere=st.lists(st.integers(0, VOCAB_SIZE - 1), max_size=12),
)
def test_looked_up_equals_plain(
    shape: str, unit: str, seed: int, temperature: float, elsewhere: list[int]
) -> None:
    sampling = SamplingParams(temperature=temperature, seed=seed, max_new_tokens=24)
    prompt = make_prompt(unit * 5, is_healed=False, stop_token_ids=NO_STOPS)
    plain = run(make_engine(shape), NeverGauge(), prompt, sampling)
    # With the answer itself among what is copied from, some proposals are right.
    known = (*elsewhere, *plain.generations[0].token_ids)
    prompt = dataclasses.replace(prompt, lookup_token_ids=known)
    looked_up = run(make_engine(shape), AlwaysGauge(), prompt, sampling)
    assert looked_up.generations[0].token_ids == plain.generations[0].token_ids
    assert looked_up.stats.num_decode_passes <= plain.stats.num_decode_passes


def test_a_copy_takes_fewer_passes() -> None:
    sampling = SamplingParams(max_new_tokens=24)
    prompt = make_prompt("def foo", is_healed=False, stop_token_ids=NO_STOPS)
    plain = run(make_engine(), NeverGauge(), prompt, sampling)
    copied = dataclasses.replace(prompt, lookup_token_ids=plain.generations[0].token_ids)
    looked_up = run(make_engine(), AlwaysGauge(), copied, sampling)
    assert looked_up.generations[0].token_ids == plain.generations[0].token_ids
    assert looked_up.stats.num_decode_passes < plain.stats.num_decode_passes
    assert looked_up.stats.num_accepted_tokens > 0


def test_what_does_not_pay_is_left_off_and_tried_again_now_and_then() -> None:
    gauge = LookupGauge()
    assert gauge.allows()
    for _ in range(100):
        gauge.learn_pass(1, 10.0)
        gauge.learn_pass(5, 18.0)
        gauge.learn_outcome(0)
    assert [gauge.allows() for _ in range(48)].count(True) == 2
    for _ in range(100):
        gauge.learn_outcome(2)  # saves 20 ms for 8
    assert all(gauge.allows() for _ in range(48))
    for _ in range(100):
        gauge.learn_pass(5, 31.0)  # saves 20 ms for 21
    assert not gauge.allows()
