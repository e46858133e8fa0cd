"""Prefix cache: ownership, budget, and which sequence is continued."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from completion_server.engine.prefix_cache import PrefixCache
from completion_server.errors import DamagedModelError
from tests.support.engines import CountingModel, generate, make_engine, make_prompt, shared_model

MODEL = shared_model("native:llama")
BYTES_PER_SEQUENCE = 2 * 2 * 2 * 8 * 256 * 8  # layers, k and v, kv heads, head dim, capacity, float64
DOCUMENT_A = list(range(100))
DOCUMENT_B = [200, *range(100, 199)]


def feed(cache: PrefixCache, token_ids: list[int]) -> int:
    """Bring ``token_ids`` into the cache as the engine does; how many of them were there already."""
    with cache.acquire(token_ids) as sequence:
        cached = sequence.num_tokens
        if cached < len(token_ids):
            sequence.feed(token_ids[cached:], 0)
    return cached


def test_two_documents_keep_a_sequence_each() -> None:
    cache = PrefixCache(MODEL, 10 * BYTES_PER_SEQUENCE)
    feed(cache, DOCUMENT_A)
    feed(cache, DOCUMENT_B)
    assert cache.num_sequences == 2
    assert feed(cache, [*DOCUMENT_A, 7]) == len(DOCUMENT_A)
    assert feed(cache, [*DOCUMENT_B, 7]) == len(DOCUMENT_B)


def test_least_recently_used_goes_first_when_the_budget_is_full() -> None:
    cache = PrefixCache(MODEL, 2 * BYTES_PER_SEQUENCE)
    feed(cache, DOCUMENT_A)
    feed(cache, DOCUMENT_B)
    feed(cache, DOCUMENT_A)  # now B is the oldest
    feed(cache, [201, *range(50)])
    assert cache.num_sequences == 2
    assert feed(cache, DOCUMENT_A) == len(DOCUMENT_A)
    assert feed(cache, DOCUMENT_B) == 0


def test_nothing_is_kept_without_a_budget() -> None:
    cache = PrefixCache(MODEL, 0)
    feed(cache, DOCUMENT_A)
    assert (cache.num_sequences, cache.num_bytes) == (0, 0)


def test_shrinking_the_budget_drops_the_oldest() -> None:
    cache = PrefixCache(MODEL, 2 * BYTES_PER_SEQUENCE)
    feed(cache, DOCUMENT_A)
    feed(cache, DOCUMENT_B)
    cache.resize(BYTES_PER_SEQUENCE)
    assert cache.num_sequences == 1
    assert feed(cache, DOCUMENT_B) == len(DOCUMENT_B)


def test_clearing_also_forgets_what_is_in_use() -> None:
    cache = PrefixCache(MODEL, 10 * BYTES_PER_SEQUENCE)
    with cache.acquire(DOCUMENT_A) as sequence:
        sequence.feed(DOCUMENT_A, 0)
        cache.clear()
    assert cache.num_sequences == 0
    assert feed(cache, DOCUMENT_A) == 0
    assert feed(cache, DOCUMENT_A) == len(DOCUMENT_A)


@given(
    held=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=30), max_size=6),
    asked=st.lists(st.integers(0, 2), min_size=1, max_size=30),
)
def test_a_snapshot_knows_what_the_cache_holds(held: list[list[int]], asked: list[int]) -> None:
    cache = PrefixCache(MODEL, 10 * BYTES_PER_SEQUENCE)
    for token_ids in held:
        feed(cache, token_ids)
    assert cache.snapshot().num_held(asked) == cache.num_held(asked)


def test_a_hit_copies_nothing() -> None:
    cache = PrefixCache(MODEL, 10 * BYTES_PER_SEQUENCE)
    with cache.acquire(DOCUMENT_A) as first:
        first.feed(DOCUMENT_A, 0)
    with cache.acquire([*DOCUMENT_A[:50], 9]) as second:
        assert second is first
        assert second.num_tokens == 50


@settings(max_examples=60, deadline=None)
@given(
    prompts=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=40), min_size=1, max_size=10),
    budget=st.integers(0, 4),
)
def test_what_is_given_out_is_always_a_prefix_and_within_budget(prompts: list[list[int]], budget: int) -> None:
    cache = PrefixCache(MODEL, budget * BYTES_PER_SEQUENCE)
    for token_ids in prompts:
        with cache.acquire(token_ids) as sequence:
            assert sequence.num_tokens <= len(token_ids)
            assert sequence.num_shared(token_ids) == sequence.num_tokens
            rest = token_ids[sequence.num_tokens :]
            if rest:
                sequence.feed(rest, 0)
        assert cache.num_bytes <= budget * BYTES_PER_SEQUENCE
        assert cache.num_sequences <= budget


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_that_computes_no_numbers_is_named(value: float) -> None:
    model = CountingModel(shared_model("native:llama"))
    forward = model.forward

    def damaged(*arguments: Any, **options: Any) -> Any:
        logits = np.array(forward(*arguments, **options))
        logits[-1, 3] = value
        return logits

    model.forward = damaged  # type: ignore[method-assign]
    engine = make_engine(model=model)
    with pytest.raises(DamagedModelError, match="models pull"):
        generate(engine, make_prompt("def f("))
