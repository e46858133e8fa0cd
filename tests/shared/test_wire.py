"""Frames and messages: nothing is lost on the way, and nothing that does not belong there gets through."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.engine import stopping
from completion_server.errors import RequestError
from completion_server.model import LocalText, Prompt, SamplingParams
from completion_server.shared import wire
from tests.support.engines import TOKENIZER, make_prompt

RULES = [
    stopping.LineEnd(),
    stopping.Dedent(4, 8, "}", "go"),
    stopping.ForeignCloser(")", "python"),
    stopping.RestReached("+ 1"),
    stopping.BlankLine(),
    stopping.MaxLines(3),
    stopping.SuffixReached("return 'naïve'"),
    stopping.FenceClosed("```"),
    stopping.Repetition(2, 8),
    stopping.TextReached(("a", "\n\n")),
]
TEXTS = st.text(alphabet="def foo(self):\n  return r", max_size=60)


def sent(message: wire.FromWindow) -> wire.FromWindow:
    frame = wire.encode_frame(message)
    assert wire.frame_length(frame[: wire.HEADER_BYTES]) == len(frame) - wire.HEADER_BYTES
    return wire.decode_from_window(frame[wire.HEADER_BYTES :])


def plain(prompt: Prompt) -> Prompt:
    """With lists of what is allowed, as they come back."""
    if prompt.healing is None:
        return prompt
    steps = tuple(
        dataclasses.replace(
            step, allowed_token_ids=None if step.allowed_token_ids is None else list(step.allowed_token_ids)
        )
        for step in prompt.healing.steps
    )
    return dataclasses.replace(prompt, healing=dataclasses.replace(prompt.healing, steps=steps))


@given(prefix=TEXTS, draft=TEXTS, remaining_ms=st.none() | st.floats(allow_nan=False))
def test_a_question_arrives_as_it_was_asked(prefix: str, draft: str, remaining_ms: float | None) -> None:
    prompt = make_prompt(prefix, draft=draft)
    prompt = dataclasses.replace(prompt, local_text=LocalText((1, 2), bytes(range(8))))
    sampling = SamplingParams(0.5, 3, 0.75, 7, 9)
    rules = wire.pack_rules(RULES)
    message = sent(wire.Generate(1, wire.without_allowed(prompt), sampling, rules, remaining_ms, 2))
    assert isinstance(message, wire.Generate)
    assert plain(wire.with_allowed(message.prompt, TOKENIZER.tokens_extending)) == plain(prompt)
    assert (message.sampling, message.remaining_ms) == (sampling, remaining_ms)
    assert wire.unpack_rules(message.rules) == RULES


def test_every_rule_of_the_engine_can_be_sent() -> None:
    assert {type(rule) for rule in RULES} == set(wire.RULE_TYPES.values())


@pytest.mark.parametrize("packed", [("NoSuchRule", {}), ("MaxLines", {}), ("MaxLines", {"num_lines": "x"})])
def test_unknown_rules_are_refused(packed: wire.WireRule) -> None:
    with pytest.raises(RequestError):
        wire.unpack_rules([packed])


@given(
    body=st.binary(max_size=60) | st.builds(msgspec.msgpack.encode, st.dictionaries(st.text(), st.integers(-9, 9)))
)
def test_anything_else_is_a_clear_error(body: bytes) -> None:
    with pytest.raises(RequestError):
        wire.decode_from_window(body)
    with pytest.raises(RequestError):
        wire.decode_from_engine(body)


def test_values_out_of_range_and_long_frames_are_refused() -> None:
    good = wire.Generate(1, Prompt((1,)), SamplingParams(), [], None, 1)
    bad = msgspec.msgpack.decode(wire.encode_frame(good)[wire.HEADER_BYTES :])
    bad["sampling"]["temperature"] = -1.0
    with pytest.raises(RequestError):
        wire.decode_from_window(msgspec.msgpack.encode(bad))
    with pytest.raises(RequestError):
        wire.frame_length((wire.MAX_FRAME_BYTES + 1).to_bytes(wire.HEADER_BYTES, "big"))
