"""Sampling: temperature 0 is the maximum, filters keep what they should, seeds repeat."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.engine.sampling import Sampler, best_tokens, filter_probabilities, log_sum_exp
from completion_server.errors import ModelError
from completion_server.model import Logits, SamplingParams
from tests.support.engines import generate, make_engine, make_prompt

LOGITS = st.lists(st.floats(-20, 20), min_size=2, max_size=30).map(lambda scores: np.array(scores, np.float32))


@given(logits=LOGITS)
def test_temperature_zero_takes_the_maximum(logits: Logits) -> None:
    assert logits[Sampler(SamplingParams()).sample(logits).token_id] == logits.max()


@given(logits=LOGITS, top_k=st.integers(1, 30))
def test_top_k_keeps_k_or_ties(logits: Logits, top_k: int) -> None:
    kept = filter_probabilities(logits, SamplingParams(temperature=1.0, top_k=top_k)) > 0
    assert kept[best_tokens(logits, 1)].all()
    smallest = np.sort(logits)[::-1][min(top_k, len(logits)) - 1]
    assert not (kept & (logits < smallest)).any()


@given(logits=LOGITS, top_p=st.floats(0.05, 1.0))
def test_top_p_keeps_the_smallest_set_that_reaches_p(logits: Logits, top_p: float) -> None:
    before = np.exp(logits - log_sum_exp(logits))
    kept = filter_probabilities(logits, SamplingParams(temperature=1.0, top_p=top_p)) > 0
    mass = float(before[kept].sum())
    assert mass >= top_p - 1e-5
    assert mass - float(before[kept].min()) < top_p + 1e-5


def test_logprob_is_that_of_the_whole_distribution_also_among_few_allowed() -> None:
    logits = np.array([1.0, 2.0, 3.0])
    sampled = Sampler(SamplingParams()).sample(logits, [0, 1])
    assert sampled.token_id == 1
    assert sampled.logprob == pytest.approx(2 - math.log(math.e + math.e**2 + math.e**3))


def test_same_seed_same_text_other_seed_other_text() -> None:
    def text(seed: int) -> tuple[int, ...]:
        sampling = SamplingParams(temperature=1.5, seed=seed, max_new_tokens=20)
        return generate(make_engine(), make_prompt("def foo"), sampling).generations[0].token_ids

    assert text(1) == text(1)
    assert len({text(seed) for seed in range(8)}) > 1


def test_sampling_only_ever_gives_allowed_tokens() -> None:
    sampler = Sampler(SamplingParams(temperature=2.0, seed=0))
    logits = np.zeros(50)
    assert {sampler.sample(logits, [3, 7]).token_id for _ in range(50)} == {3, 7}


def test_a_token_comes_as_often_as_it_is_probable() -> None:
    sampler = Sampler(SamplingParams(temperature=1.0, seed=0))
    logits = np.array([math.log(0.5), -math.inf, math.log(0.2), math.log(0.3)])
    counts = np.bincount([sampler.sample(logits).token_id for _ in range(4000)], minlength=4) / 4000
    assert counts[1] == 0
    assert np.abs(counts - [0.5, 0.0, 0.2, 0.3]).max() < 0.03


def test_nothing_but_impossible_tokens_has_no_mass() -> None:
    assert log_sum_exp(np.full((2, 3), -np.inf)).tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize("bad", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_k": -1}, {"max_new_tokens": -1}])
def test_parameters_out_of_range_are_an_error(bad: dict[str, float]) -> None:
    with pytest.raises(ModelError):
        SamplingParams(**bad)  # type: ignore[arg-type]
