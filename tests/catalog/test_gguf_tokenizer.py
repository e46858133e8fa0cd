"""Tokenizers: the right split for every name, exact round trips, and refusal instead of a guess."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from completion_server.catalog.gguf_convert import convert_gguf
from completion_server.catalog.gguf_tokenizer import SUPPORTED_PRE_TOKENIZERS
from completion_server.errors import ModelError, ModelFormatError, UnsupportedModelError
from tests.catalog.gguf_samples import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    Vocabulary,
    byte_level_vocabulary,
    llama_weights,
    write_model,
)


def _convert(directory: Path, vocabulary: Vocabulary) -> Tokenizer:
    write_model(
        directory / "tiny.gguf", "llama", llama_weights(len(vocabulary.tokens)), vocabulary, interleave=True
    )
    convert_gguf(directory / "tiny.gguf", directory / "model")
    return Tokenizer.from_file(str(directory / "model" / "tokenizer.json"))


def _pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    assert tokenizer.pre_tokenizer is not None
    return [text[start:end] for _, (start, end) in tokenizer.pre_tokenizer.pre_tokenize_str(text)]


@pytest.mark.parametrize(
    ("pre", "text", "pieces"),
    [
        ("gpt-2", "x = 1234  y", ["x", " =", " 1234", " ", " y"]),
        ("smollm", "x = 1234  y", ["x", " =", " ", "1", "2", "3", "4", " ", " y"]),
        ("starcoder", "    12", ["    ", "1", "2"]),
        ("default", "a+b 12345", ["a", "+", "b", " ", "123", "45"]),
        ("qwen2", "it'S 123\n\n  x", ["it", "'S", " ", "1", "2", "3", "\n\n", " ", " x"]),
        ("llama-bpe", "it'S 12345\n\n  x", ["it", "'S", " ", "123", "45", "\n\n", " ", " x"]),
        ("deepseek-coder", "if x:\n  y2", ["if", " x", ":", "\n", " ", " y", "2"]),
        ("tekken", "fooBar/\n1", ["foo", "Bar", "/\n", "1"]),
    ],
)
def test_pre_tokenizers_split_as_published(tmp_path: Path, pre: str, text: str, pieces: list[str]) -> None:
    assert _pieces(_convert(tmp_path, byte_level_vocabulary(pre)), text) == pieces


@pytest.fixture(scope="module")
def every_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    return {
        pre: _convert(tmp_path_factory.mktemp(pre), byte_level_vocabulary(pre)) for pre in SUPPORTED_PRE_TOKENIZERS
    }


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_round_trips(every_tokenizer: dict[str, Tokenizer], text: str) -> None:
    for pre, tokenizer in every_tokenizer.items():
        encoding = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.decode(encoding.ids, skip_special_tokens=False) == text, pre


def test_special_tokens_are_single_tokens(tmp_path: Path) -> None:
    tokenizer = _convert(tmp_path, byte_level_vocabulary())
    assert tokenizer.encode("<fim_prefix>def<fim_suffix><tab run>").tokens == [
        "<fim_prefix>", "def", "<fim_suffix>", "<tab run>",
    ]  # fmt: skip
    assert tokenizer.decode(tokenizer.encode("<fim_prefix>def<tab run>").ids) == "def<tab run>"


def test_bos_is_added_where_the_file_or_the_family_says_so(tmp_path: Path) -> None:
    def first_token(name: str, pre: str, **extra: object) -> str:
        vocabulary = byte_level_vocabulary(pre)
        vocabulary.extra |= {"bos_token_id": 0} | extra
        (tmp_path / name).mkdir()
        return _convert(tmp_path / name, vocabulary).encode("def").tokens[0]

    assert first_token("a", "llama-bpe") == "<|endoftext|>"
    assert first_token("b", "llama-bpe", add_bos_token=False) == "def"
    assert first_token("c", "smollm") == "def"
    assert first_token("d", "smollm", add_bos_token=True) == "<|endoftext|>"


def test_end_tokens_are_in_the_generation_config(tmp_path: Path) -> None:
    vocabulary = byte_level_vocabulary()
    vocabulary.extra["eos_token_id"] = 3
    _convert(tmp_path, vocabulary)
    generation = json.loads((tmp_path / "model" / "generation_config.json").read_text(encoding="utf-8"))
    assert generation["eos_token_id"] == [3, 0]


def test_unknown_pre_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="'brand-new' is not known"):
        _convert(tmp_path, byte_level_vocabulary("brand-new"))


def test_missing_pre_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="newer conversion"):
        _convert(tmp_path, byte_level_vocabulary(None))


def _broken(change: str) -> Vocabulary:
    vocabulary = byte_level_vocabulary()
    if change == "merge":
        vocabulary.merges.append("q q")
    elif change == "twice":
        vocabulary.tokens[-1] = vocabulary.tokens[-2]
    elif change == "kinds":
        vocabulary.kinds.pop()
    elif change == "eos":
        vocabulary.extra["eos_token_id"] = 99_999
    else:
        vocabulary.model = "rwkv"
    return vocabulary


@pytest.mark.parametrize("change", ["merge", "twice", "kinds", "eos", "model"])
def test_contradictory_vocabularies_are_refused(tmp_path: Path, change: str) -> None:
    with pytest.raises(ModelError):
        _convert(tmp_path, _broken(change))


def _sentencepiece_vocabulary(*, add_space_prefix: bool = False) -> Vocabulary:
    letters = "▁abcd()=\n"
    pieces = ["ab", "bc", "abc", "cd", "▁a", "▁ab", "▁▁", "▁▁▁▁", "dd", "ddd", "dddd", "a(", "bcd"]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + pieces + list(letters)
    kinds = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (len(pieces) + len(letters))
    scores = [0.0] * 259 + [-float(index) for index in range(len(pieces) + len(letters))]
    extra = {"add_space_prefix": add_space_prefix, "bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0}
    return Vocabulary(tokens, kinds, scores=scores, model="llama", pre="default", extra=extra)


def _merge_by_score(text: str, vocabulary: Vocabulary) -> list[str]:
    """SentencePiece's rule, said simply: join the neighbours with the best score until none fit."""
    assert vocabulary.scores is not None
    scores = {
        token: score
        for token, score, kind in zip(vocabulary.tokens, vocabulary.scores, vocabulary.kinds, strict=True)
        if kind == NORMAL
    }
    symbols = list(text.replace(" ", "▁"))
    while True:
        joins = [(scores.get(a + b), -i) for i, (a, b) in enumerate(pairwise(symbols))]
        fitting = [(score, place) for score, place in joins if score is not None]
        if not fitting:
            break
        place = -max(fitting)[1]
        symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
    return [
        token
        for symbol in symbols
        for token in ([symbol] if symbol in scores else [f"<0x{byte:02X}>" for byte in symbol.encode()])
    ]


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return _convert(tmp_path_factory.mktemp("spm"), _sentencepiece_vocabulary())


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from("  abcd()=\né你"), max_size=30))
def test_sentencepiece_merges_by_score_and_round_trips(sentencepiece: Tokenizer, text: str) -> None:
    encoding = sentencepiece.encode(text, add_special_tokens=False)
    assert encoding.tokens == _merge_by_score(text, _sentencepiece_vocabulary())
    assert sentencepiece.decode(encoding.ids, skip_special_tokens=False) == text


def test_sentencepiece_space_prefix_is_added_and_taken_off(tmp_path: Path) -> None:
    tokenizer = _convert(tmp_path, _sentencepiece_vocabulary(add_space_prefix=True))
    encoding = tokenizer.encode("ab ab", add_special_tokens=False)
    assert encoding.tokens == ["▁ab", "▁ab"]
    assert tokenizer.decode(encoding.ids) == "ab ab"
    assert tokenizer.encode("ab").tokens[0] == "<s>"


def test_sentencepiece_without_an_order_of_merges_is_refused(tmp_path: Path) -> None:
    vocabulary = _sentencepiece_vocabulary()
    vocabulary.scores = [-1000.0] * len(vocabulary.tokens)
    with pytest.raises(ModelFormatError, match="share a score"):
        _convert(tmp_path, vocabulary)


def test_sentencepiece_that_drops_spaces_is_refused(tmp_path: Path) -> None:
    vocabulary = _sentencepiece_vocabulary()
    vocabulary.extra["remove_extra_whitespaces"] = True
    with pytest.raises(UnsupportedModelError, match="drops spaces"):
        _convert(tmp_path, vocabulary)
