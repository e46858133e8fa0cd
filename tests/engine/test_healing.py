"""Token healing: what was taken off the prompt is spelt again, and the way of spelling it is the likeliest."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.engine.healing import choose_start
from completion_server.model import Healing, HealingStep, SamplingParams
from completion_server.prompt.healing import heal_prefix
from tests.support.byte_tokenizer import ByteTokenizer
from tests.support.engines import TOKENIZER, generate, make_engine, make_prompt

PREFIXES = st.text(alphabet="abdefor ():\n\té😋_x{}\r", max_size=40) | st.text(max_size=12)


@given(prefix=PREFIXES)
def test_kept_tokens_and_what_was_removed_spell_the_prefix(prefix: str) -> None:
    healed = heal_prefix(prefix, TOKENIZER.encode(prefix), TOKENIZER)
    kept = b"".join(map(TOKENIZER.token_bytes, healed.token_ids))
    data = prefix.encode("utf-8", "surrogatepass")
    if healed.healing is None:
        assert kept == data
        return
    for step in healed.healing.steps:
        path = b"".join(map(TOKENIZER.token_bytes, healed.healing.path_token_ids[: step.num_path_tokens]))
        assert kept + path + step.remaining == data
        if step.allowed_token_ids is None:
            assert step.remaining == b""
        else:
            assert len(step.allowed_token_ids) > 0
            for token_id in step.allowed_token_ids:
                token = TOKENIZER.token_bytes(token_id)
                assert token.startswith(step.remaining)
                assert len(token) > len(step.remaining)


@given(prefix=PREFIXES.filter(bool))
def test_the_prompt_and_the_generation_continue_the_prefix_exactly(prefix: str) -> None:
    """No character before the cursor is lost, doubled or changed: healed bytes = prefix + generated text."""
    prompt = make_prompt(prefix)
    result = generate(make_engine(), prompt, SamplingParams(max_new_tokens=4))
    generation = result.generations[0]
    assert prompt.healing is None or result.stats.num_prompt_tokens >= len(prompt.token_ids)
    data = b"".join(map(TOKENIZER.token_bytes, generation.token_ids))
    assert (
        any(
            data[len(step.remaining) :].decode("utf-8", "ignore") == generation.text
            and data.startswith(step.remaining)
            for step in (prompt.healing.steps if prompt.healing else [HealingStep(0, b"", None)])
        )
        or not generation.token_ids
    )


@pytest.mark.parametrize(
    ("prefix", "kept"),
    [
        ("def foo", "def"),  # the word and the space before it
        ("x:\n    ", "x:"),  # line end and indentation are one token with what follows
        ("x:\n", "x:"),
        ("self.re", "self"),  # the mark before a word can belong to its token
        ("foo(", "foo"),
        ("", ""),
    ],
)
def test_backs_up_over_the_last_run(prefix: str, kept: str) -> None:
    healed = heal_prefix(prefix, TOKENIZER.encode(prefix), TOKENIZER)
    assert b"".join(map(TOKENIZER.token_bytes, healed.token_ids)).decode() == kept


def test_indentation_is_spelt_as_it_is_before_a_word() -> None:
    """Alone, newline and four spaces are one token; before a word the last space belongs to the word."""
    tokenizer = ByteTokenizer()
    assert tokenizer.encode("\n    ") == [256]
    healed = heal_prefix("x:\n    ", tokenizer.encode("x:\n    "), tokenizer)
    assert healed.healing is not None
    # ByteTokenizer is greedy, so the probe changes nothing here; the plan must still reach the cursor.
    assert healed.healing.steps[-1].remaining in {b"", b" "}


def test_a_multi_byte_character_is_never_cut() -> None:
    healed = heal_prefix("x = 'é😋", TOKENIZER.encode("x = 'é😋"), TOKENIZER)
    b"".join(map(TOKENIZER.token_bytes, healed.token_ids)).decode("utf-8")
    assert healed.healing is not None
    healed.healing.steps[0].remaining.decode("utf-8")


def test_a_long_run_keeps_its_head_in_the_prompt() -> None:
    prefix = "x" * 200
    healed = heal_prefix(prefix, TOKENIZER.encode(prefix), TOKENIZER)
    assert healed.healing is not None
    assert len(healed.healing.path_token_ids) <= 8
    assert len(healed.token_ids) + len(healed.healing.path_token_ids) == 200


def test_the_likeliest_step_wins() -> None:
    """Step 0 may take token 2 (mass .6); ending on the path costs .3."""
    logits = np.log(np.array([[0.1, 0.3, 0.6], [0.8, 0.1, 0.1]]))
    healing = Healing((1,), (HealingStep(0, b"ab", [2]), HealingStep(1, b"", None)))
    assert choose_start(logits, healing).step.num_path_tokens == 0
    cheaper = Healing((2,), (HealingStep(0, b"ab", [0, 1]), HealingStep(1, b"", None)))
    start = choose_start(logits, cheaper)
    assert start.step.num_path_tokens == 1
    assert np.array_equal(start.logits, logits[1])


def test_masses_add_up_over_the_allowed_tokens() -> None:
    logits = np.log(np.array([[0.26, 0.25, 0.26, 0.23], [0.25, 0.25, 0.25, 0.25]]))
    healing = Healing((3,), (HealingStep(0, b"a", [0, 1]), HealingStep(1, b"", None)))
    assert choose_start(logits, healing).step.num_path_tokens == 0
    assert math.isclose(float(np.exp(logits[0, :2]).sum()), 0.51, rel_tol=1e-5)
