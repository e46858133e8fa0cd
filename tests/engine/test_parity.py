"""The engine's specification: whatever was cached, cancelled or cut short before, the answer is the fresh one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from completion_server.model import SamplingParams
from completion_server.request import CancellationToken, Deadline, FinishReason
from tests.support.engines import (
    CountingModel,
    generate,
    greedy_reference,
    make_engine,
    make_prompt,
    shared_model,
)
from tests.support.tiny_models import SHAPES

CODE = """\
def foo(self):
    return retry()


class A:
    def bar(self):
        # é😋
        for x in foo():
"""
TEXTS = st.text(alphabet="abdefor ():\n\té😋_x", max_size=30) | st.sampled_from(
    ["\n    ", "def foo", " return", "):\n        "]
)
EDITS = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 12), TEXTS),
    min_size=1,
    max_size=8,
)


def apply_edit(text: str, edit: tuple[int, int, str]) -> str:
    """Insert, delete or replace near the end, as typing does, or far away, as a jump does."""
    back, num_deleted, inserted = edit
    at = max(len(text) - back, 0)
    return text[:at] + inserted + text[at + num_deleted :]


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=12, deadline=None)
@given(edits=EDITS, is_healed=st.booleans())
def test_cached_equals_uncached_for_any_sequence_of_edits(
    shape: str, edits: list[tuple[int, int, str]], is_healed: bool
) -> None:
    cached, uncached = make_engine(shape), make_engine(shape, prefix_cache_mb=0)
    text = CODE
    for edit in edits:
        text = apply_edit(text, edit)[-300:]
        prompt = make_prompt(text, is_healed=is_healed)
        expected, actual = generate(uncached, prompt), generate(cached, prompt)
        assert actual.generations[0].token_ids == expected.generations[0].token_ids
        assert actual.generations[0].text == expected.generations[0].text
        assert uncached.prefix_cache.num_sequences == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_greedy_equals_a_plain_loop(shape: str) -> None:
    prompt = make_prompt(CODE, is_healed=False)
    expected = greedy_reference(shared_model(shape), prompt.token_ids, 12)
    assert list(generate(make_engine(shape), prompt).generations[0].token_ids) == expected


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=10, deadline=None)
@given(num_passes=st.integers(0, 12), edit=st.tuples(st.integers(0, 60), st.integers(0, 5), TEXTS))
def test_cancelled_then_resumed_equals_fresh(shape: str, num_passes: int, edit: tuple[int, int, str]) -> None:
    counting = CountingModel(shared_model(shape))
    engine = make_engine(model=counting)
    token = CancellationToken()

    def cancel_after_some_passes() -> None:
        if len(counting.chunk_sizes) >= num_passes:
            token.cancel()

    counting.on_forward = cancel_after_some_passes
    prompt = make_prompt(CODE)
    engine.generate(prompt, SamplingParams(max_new_tokens=12), (), Deadline.never(), token)
    counting.on_forward = lambda: None
    for text in (CODE, apply_edit(CODE, edit)):
        prompt = make_prompt(text)
        fresh = generate(make_engine(shape, prefix_cache_mb=0), prompt)
        assert generate(engine, prompt).generations[0].token_ids == fresh.generations[0].token_ids


@pytest.mark.parametrize("shape", SHAPES)
def test_a_failing_forward_pass_leaves_the_cache_usable(shape: str) -> None:
    counting = CountingModel(shared_model(shape))
    engine = make_engine(model=counting)
    generate(engine, make_prompt(CODE[:40]))

    def fail() -> None:
        raise RuntimeError("out of memory")

    counting.on_forward = fail
    with pytest.raises(RuntimeError, match="out of memory"):
        generate(engine, make_prompt(CODE))
    counting.on_forward = lambda: None
    fresh = generate(make_engine(shape, prefix_cache_mb=0), make_prompt(CODE))
    assert generate(engine, make_prompt(CODE)).generations[0].token_ids == fresh.generations[0].token_ids


@pytest.mark.parametrize("shape", ["native:llama", "native:qwen2", "gpt2"])
def test_alternatives_equal_decoding_each_alone(shape: str) -> None:
    prompt = make_prompt(CODE, is_healed=False)
    together = generate(make_engine(shape), prompt, num_alternatives=3).generations
    assert len({generation.token_ids[0] for generation in together}) == 3
    for generation in together:
        first = generation.token_ids[0]
        expected = [first, *greedy_reference(shared_model(shape), [*prompt.token_ids, first], 11)]
        assert list(generation.token_ids) == expected


@settings(max_examples=15, deadline=None)
@given(st.text("abcdefgh (=\n", min_size=1, max_size=30), st.integers(1, 5), st.integers(1, 14))
@example("=c", 3, 5)
def test_alternatives_written_at_once_equal_those_written_in_turn(text: str, number: int, length: int) -> None:
    prompt, sampling = make_prompt(CODE + text), SamplingParams(max_new_tokens=length)
    at_once = make_engine()
    in_turn = make_engine(model=CountingModel(shared_model("native:llama")))  # it passes no branches on
    rules = [NoMoreThan("e"), NoMoreThan("a")]
    for engine in (at_once, in_turn):
        generate(engine, make_prompt(CODE))  # something is cached
    actual = generate(at_once, prompt, sampling, rules, number)
    expected = generate(in_turn, prompt, sampling, rules, number)
    for one, other in zip(actual.generations, expected.generations, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-6)
        assert (one.text, one.token_ids, one.stop_rule) == (other.text, other.token_ids, other.stop_rule)
        assert one.finish_reason is other.finish_reason
    assert actual.stats.num_decode_passes <= length
    # What the branches left behind does no harm.
    after, fresh = (generate(engine, make_prompt(CODE + text + "x")) for engine in (at_once, make_engine()))
    assert after.generations[0].token_ids == fresh.generations[0].token_ids


@dataclass(frozen=True)
class NoMoreThan:
    """Stops after the second ``character``."""

    character: str
    name: str = "no_more"

    def find_cut(self, text: str) -> int | None:
        first = text.find(self.character)
        second = text.find(self.character, first + 1)
        return None if first < 0 or second < 0 else second


def test_a_cancel_ends_all_alternatives_after_one_pass() -> None:
    token, counting = CancellationToken(), CountingModel(shared_model("native:llama"))
    engine = make_engine(model=BranchCounting(counting, token))
    prompt, sampling = make_prompt(CODE, is_healed=False), SamplingParams(max_new_tokens=30)
    result = engine.generate(prompt, sampling, [], Deadline.never(), token, num_alternatives=3)
    assert result.finish_reason is FinishReason.CANCELLED
    assert [len(generation.token_ids) for generation in result.generations] == [2, 2, 2]


class BranchCounting:
    """Passes everything on; cancels in the first pass over branches."""

    def __init__(self, model: CountingModel, token: CancellationToken) -> None:
        self._model, self._token = model, token

    def __getattr__(self, name: str):
        return getattr(self._model, name)

    def forward_branches(self, *arguments):
        self._token.cancel()
        return shared_model("native:llama").forward_branches(*arguments)


def test_typing_prefills_only_what_is_new() -> None:
    engine = make_engine()
    text = CODE
    generate(engine, make_prompt(text))
    for char in "return foo":
        text += char
        result = generate(engine, make_prompt(text))
        assert result.stats.num_prefilled_tokens <= 12
        assert result.stats.num_cached_tokens + result.stats.num_prefilled_tokens == result.stats.num_prompt_tokens


def test_a_prefilled_prompt_starts_at_once() -> None:
    engine = make_engine()
    prompt = make_prompt(CODE)
    fed = engine.prefill(prompt, Deadline.never(), CancellationToken())
    result = generate(engine, prompt)
    assert fed == result.stats.num_prompt_tokens
    assert result.stats.num_prefilled_tokens <= 9
    assert result.finish_reason in {FinishReason.LENGTH, FinishReason.STOP}
