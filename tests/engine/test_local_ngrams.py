"""The n-gram model of the text at hand: what it votes for, how it is mixed in, and that nothing else changes."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from completion_server.engine.local_ngrams import LocalNgrams
from completion_server.engine.sampling import log_sum_exp
from completion_server.model import TEXT_END, LocalText, Prompt, SamplingParams
from tests.support.byte_tokenizer import VOCAB_SIZE
from tests.support.engines import TOKENIZER, CountingModel, generate, make_engine, make_prompt, shared_model

TOKENS = st.lists(st.integers(0, 3), max_size=24)
CODE = "def area(width):\n    return width * 2\n\n\ndef volume(width):\n    ret"


def local_text(preceding: list[int], *texts: list[int]) -> LocalText:
    held = [token_id for text in texts for token_id in (*text, TEXT_END)]
    return LocalText(tuple(preceding), np.array(held, np.int32).tobytes())


def with_local_text(prompt: Prompt, *texts: str) -> Prompt:
    local = local_text(list(prompt.token_ids[1:]), *map(TOKENIZER.encode, texts))
    return dataclasses.replace(prompt, local_text=local)


def plain_votes(recent: list[int], texts: list[list[int]]) -> tuple[dict[int, float], int]:
    """Every place of every text, compared token by token."""
    found: list[tuple[int, int]] = []
    for text in texts:
        for end in range(1, len(text)):
            length = 0
            while length < min(end, len(recent), 16) and text[end - 1 - length] == recent[-1 - length]:
                length += 1
            if length >= 2:
                found.append((length, text[end]))
    longest = max((length for length, _ in found), default=0)
    weights: Counter[int] = Counter()
    for length, token_id in found:
        weights[token_id] += 2.0 ** (length - longest)  # type: ignore[assignment]
    return {token_id: weight / weights.total() for token_id, weight in weights.items()}, longest


@given(st.lists(TOKENS, max_size=4), TOKENS, TOKENS)
def test_the_vote_counts_what_followed_longer_matches_more(
    texts: list[list[int]], preceding: list[int], more: list[int]
) -> None:
    ngrams = LocalNgrams(local_text(preceding, *texts))
    for token_id in more:
        ngrams.append(token_id)
    vote = ngrams.vote()
    expected, longest = plain_votes([*preceding, *more][-16:], texts)
    if vote is None:
        assert not expected
        return
    assert vote.length == longest
    found = dict(zip(vote.token_ids.tolist(), vote.probabilities.tolist(), strict=True))
    assert found == pytest.approx(expected)


@given(st.lists(st.floats(-9, 9), min_size=6, max_size=6), st.sets(st.integers(0, 5), min_size=1))
def test_the_mixture_is_a_distribution_and_keeps_the_mass_of_what_is_allowed(
    logits: list[float], allowed: set[int]
) -> None:
    ngrams = LocalNgrams(local_text([1, 2], [1, 2, 3, 1, 2, 4]))
    own = np.array(logits)
    own_logprobs = own - log_sum_exp(own)
    mixed = ngrams.mix(own)
    assert log_sum_exp(mixed) == pytest.approx(0, abs=1e-9)
    assert mixed[3] > own_logprobs[3] or own_logprobs[3] > np.log(0.5)
    for token_id in (0, 1, 2, 5):
        assert mixed[token_id] < own_logprobs[token_id]
    ids = sorted(allowed)
    within = ngrams.mix(own, ids)
    if within is own:
        assert not allowed & {3, 4}
        return
    assert log_sum_exp(within[ids]) == pytest.approx(log_sum_exp(own_logprobs[ids]), abs=1e-9)
    others = sorted(set(range(6)) - allowed)
    assert within[others] == pytest.approx(own_logprobs[others])


def test_where_nothing_matches_the_model_alone_decides() -> None:
    logits = np.array([0.5, 1.0, -2.0])
    assert LocalNgrams(local_text([1], [1, 2, 1, 2])).mix(logits) is logits, "one token is no match"
    assert LocalNgrams(local_text([2, 1], [1, 2, 1])).mix(logits) is logits, "nothing follows"
    assert LocalNgrams(local_text([0, 1], [0, 1], [2])).mix(logits) is logits, "another text does not follow"


def test_what_followed_the_last_longest_match_is_the_draft() -> None:
    ngrams = LocalNgrams(local_text([7, 1, 2], [7, 1, 2, 3, 4], [7, 1, 2, 5, 6], [9, 1, 2, 8, 8]))
    assert ngrams.continuation(2, 3) == (5, 6)
    assert ngrams.continuation(3, 3) == (), "it goes beyond the text's end"
    assert ngrams.continuation(2, 4) == (), "no match is so long"
    ngrams.append(3)
    assert ngrams.continuation(1, 3) == (4,)


def test_drafts_come_from_the_text_at_hand_and_are_right_where_it_decides() -> None:
    prompt = with_local_text(make_prompt(CODE), CODE.replace("return width", "return length_of_it"))
    for num_alternatives in (1, 3):
        stats = generate(make_engine(), prompt, num_alternatives=num_alternatives).stats
        assert 0 < stats.num_draft_tokens < 2 * stats.num_accepted_tokens


@pytest.mark.parametrize("is_healed", [False, True])
def test_a_long_match_is_written_on(is_healed: bool) -> None:
    prompt = make_prompt(CODE, is_healed=is_healed)
    plain = generate(make_engine(), prompt)
    local = generate(make_engine(), with_local_text(prompt, CODE))
    assert local.generations[0].text == "urn width * "
    assert not plain.generations[0].text.startswith("u")
    assert plain.stats.num_local_tokens == 0 < local.stats.num_local_tokens


@settings(max_examples=20, deadline=None)
@given(
    text=st.text("abc (=\n", max_size=30),
    elsewhere=st.lists(st.text("abc (=\n", max_size=60), max_size=3),
    is_healed=st.booleans(),
    draft=st.text("abc (=\n", max_size=12),
    temperature=st.sampled_from([0.0, 1.0]),
)
def test_caches_and_drafts_change_nothing(
    text: str, elsewhere: list[str], is_healed: bool, draft: str, temperature: float
) -> None:
    sampling = SamplingParams(max_new_tokens=12, temperature=temperature, seed=7)
    cached, fresh = make_engine(), make_engine(prefix_cache_mb=0)
    generate(cached, make_prompt(CODE))
    plain = with_local_text(make_prompt(CODE + text, is_healed=is_healed), *elsewhere, CODE + text)
    drafted = with_local_text(make_prompt(CODE + text, is_healed=is_healed, draft=draft), *elsewhere, CODE + text)
    expected = generate(fresh, plain, sampling).generations[0]
    for engine, prompt in ((cached, plain), (cached, drafted), (fresh, drafted)):
        actual = generate(engine, prompt, sampling).generations[0]
        assert actual.token_ids == expected.token_ids
        assert actual.logprobs == pytest.approx(expected.logprobs, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.text("abc (=\n", max_size=30), st.lists(st.text("abc (=\n", max_size=60), max_size=3))
def test_alternatives_written_at_once_equal_those_written_in_turn(text: str, elsewhere: list[str]) -> None:
    prompt = with_local_text(make_prompt(CODE + text), *elsewhere, CODE + text)
    at_once = generate(make_engine(), prompt, num_alternatives=3).generations
    in_turn_model = CountingModel(shared_model("native:llama"))  # it passes no branches on
    in_turn = generate(make_engine(model=in_turn_model), prompt, num_alternatives=3).generations
    for one, other in zip(at_once, in_turn, strict=True):
        assert one.token_ids == other.token_ids
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-6)


def test_a_vote_outside_of_the_vocabulary_is_impossible() -> None:
    ids = np.frombuffer(with_local_text(make_prompt(CODE), "é😋", CODE).local_text.token_ids, np.int32)  # type: ignore[union-attr]
    assert ((ids == TEXT_END) | (ids >= 0)).all()
    assert ids.max() < VOCAB_SIZE
