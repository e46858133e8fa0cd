"""Streaming: never half a character, never a control token, nothing of what was skipped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.tokenizer import StreamingDetokenizer
from tests.support import tiny_tokenizers as tiny

TOKENIZERS = {name: tiny.FAMILIES[name]() for name in ("qwen-coder", "codellama", "codegemma")}
names = st.sampled_from(sorted(TOKENIZERS))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(names, texts)
def test_segments_are_whole_characters_and_add_up(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    detokenizer = StreamingDetokenizer(tokenizer)
    seen = ""
    for token_id in tokenizer.encode(text):
        segment = detokenizer.add_token(token_id)
        assert segment == detokenizer.last_segment
        seen += segment
        assert detokenizer.text == seen
        assert text.startswith(seen)
    assert detokenizer.finalize() == text
    assert detokenizer.last_segment == ""


@given(names, texts, st.data())
def test_skipped_bytes_are_those_of_the_beginning(name: str, text: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    cut = data.draw(st.integers(0, len(text)))
    detokenizer = StreamingDetokenizer(tokenizer, num_skipped_bytes=len(text[:cut].encode()))
    for token_id in tokenizer.encode(text):
        detokenizer.add_token(token_id)
    assert detokenizer.finalize() == text[cut:]


@given(names, st.lists(st.integers(0, 1000), max_size=20))
def test_any_tokens_at_all_give_text(name: str, token_ids: list[int]) -> None:
    tokenizer = TOKENIZERS[name]
    detokenizer = StreamingDetokenizer(tokenizer)
    for token_id in token_ids:
        detokenizer.add_token(token_id)
    expected = tokenizer.decode_bytes(i for i in token_ids if i not in tokenizer.special_token_ids)
    assert expected.decode("utf-8", "replace").startswith(detokenizer.finalize())


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
def test_an_unfinished_character_is_dropped(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    token_ids = tokenizer.encode("a🎉")
    detokenizer = StreamingDetokenizer(tokenizer)
    for token_id in token_ids[:-1]:
        detokenizer.add_token(token_id)
    assert detokenizer.text == "a"
    assert detokenizer.finalize() == "a"


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
def test_control_tokens_give_no_text(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    detokenizer = StreamingDetokenizer(tokenizer)
    for token_id in sorted(tokenizer.special_token_ids):
        assert detokenizer.add_token(token_id) == ""
    assert detokenizer.text == ""
