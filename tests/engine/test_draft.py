"""A draft changes what a generation costs and never what it says."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from completion_server.engine.decode import Draft, decode
from completion_server.engine.prefix_cache import CachedSequence
from completion_server.engine.sampling import Sampler
from completion_server.model import SamplingParams
from completion_server.request import CancellationToken, Deadline
from tests.support.byte_tokenizer import VOCAB_SIZE
from tests.support.engines import CountingModel, generate, make_engine, make_prompt, shared_model
from tests.support.tiny_models import SHAPES

PREFIXES = ["def foo(self):\n    re", "x = é😋 + ", "for x in foo():\n    "]
NO_STOPS: frozenset[int] = frozenset()


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=15, deadline=None)
@given(
    prefix=st.sampled_from(PREFIXES),
    seed=st.integers(0, 3),
    temperature=st.sampled_from([0.0, 1.0]),
    num_right=st.integers(0, 20),
    wrong=st.lists(st.integers(0, VOCAB_SIZE - 1), max_size=20),
    num_new=st.integers(1, 20),
)
def test_speculative_equals_plain(
    shape: str, prefix: str, seed: int, temperature: float, num_right: int, wrong: list[int], num_new: int
) -> None:
    sampling = SamplingParams(temperature=temperature, seed=seed, max_new_tokens=num_new)
    prompt = make_prompt(prefix, is_healed=False)
    plain = generate(make_engine(shape), prompt, sampling)
    draft = (*plain.generations[0].token_ids[:num_right], *wrong)
    engine = make_engine(shape)
    drafted = generate(engine, dataclasses.replace(prompt, draft_token_ids=draft), sampling)
    assert drafted.generations[0].token_ids == plain.generations[0].token_ids
    assert drafted.generations[0].finish_reason == plain.generations[0].finish_reason
    assert drafted.stats.num_decode_passes <= plain.stats.num_decode_passes
    # And what is kept afterwards is as good as new.
    again = generate(engine, make_prompt(prefix + "x"), sampling)
    fresh = generate(make_engine(shape, prefix_cache_mb=0), make_prompt(prefix + "x"), sampling)
    assert again.generations[0].token_ids == fresh.generations[0].token_ids


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_right_draft_takes_one_pass(prefix: str) -> None:
    sampling = SamplingParams(max_new_tokens=12)
    prompt = make_prompt(prefix, is_healed=False, stop_token_ids=NO_STOPS)
    plain = generate(make_engine(), prompt, sampling)
    assert plain.stats.num_decode_passes == 11
    prompt = dataclasses.replace(prompt, draft_token_ids=plain.generations[0].token_ids)
    drafted = generate(make_engine(), prompt, sampling)
    assert drafted.generations == plain.generations or (
        drafted.generations[0].token_ids == plain.generations[0].token_ids
    )
    assert drafted.stats.num_decode_passes == 1
    assert drafted.stats.num_accepted_tokens == drafted.stats.num_draft_tokens == 10


def test_a_draft_of_text_is_taken_up_behind_healing() -> None:
    prefix = "def foo(self):\n    re"
    sampling = SamplingParams(max_new_tokens=8)
    plain = generate(make_engine(), make_prompt(prefix, stop_token_ids=NO_STOPS), sampling)
    text = plain.generations[0].text
    drafted = generate(make_engine(), make_prompt(prefix, stop_token_ids=NO_STOPS, draft=text), sampling)
    assert drafted.generations[0].token_ids == plain.generations[0].token_ids


@pytest.mark.parametrize("num_taken", range(1, 12))
def test_leaving_early_leaves_nothing_that_was_not_taken(num_taken: int) -> None:
    model = shared_model("native:llama")
    prompt = make_prompt("def foo", is_healed=False, stop_token_ids=NO_STOPS)
    sampling = SamplingParams(max_new_tokens=12)
    token_ids = generate(make_engine(), prompt, sampling).generations[0].token_ids
    sequence, sampler = CachedSequence(model), Sampler(sampling)
    first = sampler.sample(sequence.feed(prompt.token_ids, 1)[0])
    start = sequence.num_tokens
    tokens = decode(sequence, first, sampler, 12, Draft(token_ids))
    taken = [next(tokens).token_id for _ in range(num_taken)]
    tokens.close()
    assert tuple(taken) == token_ids[:num_taken]
    assert start <= sequence.num_tokens < start + num_taken
    assert sequence.num_shared((*prompt.token_ids, *token_ids)) == sequence.num_tokens


def test_a_wrong_draft_is_dropped_for_good() -> None:
    counting = CountingModel(shared_model("native:llama"))
    prompt = make_prompt("def foo", is_healed=False, stop_token_ids=NO_STOPS)
    plain = generate(make_engine(), prompt, SamplingParams(max_new_tokens=6)).generations[0].token_ids
    wrong = (*plain[:2], (plain[2] + 1) % 256, *plain[3:])
    prompt = dataclasses.replace(prompt, draft_token_ids=wrong)
    result = generate(make_engine(model=counting), prompt, SamplingParams(max_new_tokens=6))
    assert result.generations[0].token_ids == plain
    assert counting.chunk_sizes[1:] == [5, 1, 1, 1]  # guessed, then one by one


def test_cancel_during_a_drafted_generation() -> None:
    counting = CountingModel(shared_model("native:llama"))
    engine = make_engine(model=counting)
    prompt = make_prompt("def foo", is_healed=False, stop_token_ids=NO_STOPS)
    plain = generate(make_engine(), prompt, SamplingParams(max_new_tokens=40)).generations[0].token_ids
    token = CancellationToken()

    def cancel_in_time() -> None:
        if len(counting.chunk_sizes) == 1:
            token.cancel()

    counting.on_forward = cancel_in_time
    drafted = dataclasses.replace(prompt, draft_token_ids=plain)
    result = engine.generate(drafted, SamplingParams(max_new_tokens=40), (), Deadline.never(), token)
    assert len(counting.chunk_sizes) == 2
    assert plain[: len(result.generations[0].token_ids)] == result.generations[0].token_ids
