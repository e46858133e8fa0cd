"""Promises of the tokenizer: bytes in are bytes out, no text becomes a control token, no space appears."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as LibraryTokenizer

from completion_server.errors import ModelFormatError, UnsupportedModelError
from completion_server.tokenizer import Tokenizer
from tests.support import tiny_tokenizers as tiny

BYTE_LEVEL = ("qwen-coder", "starcoder2", "deepseek-coder", "prefix-only")
SENTENCEPIECE = ("codellama", "codestral", "codegemma")
TOKENIZERS = {name: tiny.FAMILIES[name]() for name in tiny.FAMILIES}
SPECIAL_SPELLINGS = sorted(
    {tokenizer.token_bytes(i).decode() for tokenizer in TOKENIZERS.values() for i in tokenizer.special_token_ids}
)

names = st.sampled_from(sorted(TOKENIZERS))
plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
pieces = st.sampled_from(
    ["    ", "\n", "\r\n", "\t", "▁", " ", "é", "e\u0301", "ﬁ", "õ", "日", "🎉", "def ", "<table>"]
)
control_text = st.sampled_from([*SPECIAL_SPELLINGS, "<|", "|>", "<", "fim_", "[", "<0x41>", "<0xE2>"])
any_text = st.lists(st.one_of(plain_text, pieces, control_text), max_size=8).map("".join)


@given(names, any_text)
def test_the_bytes_of_the_tokens_are_the_bytes_of_the_text(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    token_ids = tokenizer.encode(text)
    assert tokenizer.decode_bytes(token_ids) == text.encode()
    assert tokenizer.decode(token_ids) == text


@given(names, any_text)
def test_no_text_becomes_a_control_token(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    assert tokenizer.special_token_ids.isdisjoint(tokenizer.encode(text))


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
@pytest.mark.parametrize("around", ["", " ", "\n", '"', "x"])
def test_every_control_token_in_a_document_is_text(name: str, around: str) -> None:
    tokenizer = TOKENIZERS[name]
    assert tokenizer.special_token_ids
    for spelling in SPECIAL_SPELLINGS:
        text = f"{around}{spelling}{around}"
        token_ids = tokenizer.encode(text)
        assert tokenizer.special_token_ids.isdisjoint(token_ids), spelling
        assert tokenizer.decode(token_ids) == text


def test_a_control_token_that_merges_can_make_is_respelled() -> None:
    definition = tiny.byte_level()
    definition["pre_tokenizer"]["use_regex"] = False
    model = definition["model"]
    model["merges"] = []
    for left, right in pairwise(["<", "<|", "<|x", "<|x|", "<|x|>"]):
        model["vocab"].setdefault(right, len(model["vocab"]))
        model["merges"].append([left, right[-1]])
    control_id = model["vocab"]["<|x|>"]
    library = LibraryTokenizer.from_str(json.dumps(definition))
    assert library.encode("<|x|>").ids == [control_id]
    tokenizer = Tokenizer.from_json(json.dumps(definition))
    assert control_id in tokenizer.special_token_ids
    assert control_id not in tokenizer.encode("a<|x|>b")
    assert tokenizer.decode(tokenizer.encode("a<|x|>b")) == "a<|x|>b"


def test_a_text_token_flagged_as_text_stays_one() -> None:
    gemma = TOKENIZERS["codegemma"]
    for text in ("\n\n", "\t\t", "<table>", "</h1>", "<b>"):
        assert gemma.encode(text) == [gemma.token_id(text)]
    deepseek = TOKENIZERS["deepseek-coder"]
    assert deepseek.encode("õ") == [deepseek.token_id("õ")]


def test_spaces_that_a_token_strips_are_kept() -> None:
    definition = tiny.append_tokens(tiny.byte_level(), ("MARK",), special=False, lstrip=True, rstrip=True)
    tokenizer = Tokenizer.from_json(json.dumps(definition))
    assert tokenizer.decode(tokenizer.encode("a  MARK  b")) == "a  MARK  b"
    assert tokenizer.token_id("MARK") in tokenizer.encode("a  MARK  b")


@pytest.mark.parametrize("name", SENTENCEPIECE)
def test_a_fragment_gets_no_leading_space(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    assert tokenizer.decode_bytes(tokenizer.encode("def")[:1])[:1] == b"d"
    assert tokenizer.encode("x") == [tokenizer.token_id("x")]


def test_a_byte_level_prefix_space_is_dropped() -> None:
    definition = tiny.byte_level()
    definition["pre_tokenizer"]["add_prefix_space"] = True
    tokenizer = Tokenizer.from_json(json.dumps(definition))
    assert tokenizer.decode(tokenizer.encode("def")) == "def"


def test_an_old_metaspace_that_says_add_prefix_space_is_understood() -> None:
    definition = tiny.sentencepiece(style="metaspace")
    definition["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    tokenizer = Tokenizer.from_json(json.dumps(definition))
    assert tokenizer.decode(tokenizer.encode("def f")) == "def f"


def test_characters_without_a_byte_token_keep_their_length() -> None:
    definition = tiny.byte_level()
    kept = {token: index for token, index in definition["model"]["vocab"].items() if token not in "ĄÆñ"}
    definition["model"]["vocab"] = kept
    tokenizer = Tokenizer.from_json(json.dumps(definition))
    text = "a\x04b\U00040000c"  # 0x04 and 0xF1 have no token, as in SmolLM2
    assert tokenizer.decode(tokenizer.encode(text)) == "a?b????c"


def test_half_a_surrogate_pair_is_replaced() -> None:
    tokenizer = TOKENIZERS["qwen-coder"]
    assert tokenizer.decode(tokenizer.encode("a\ud83db")) == "a\ufffdb"


def test_ids_sizes_and_unknown_ids() -> None:
    qwen = TOKENIZERS["qwen-coder"]
    assert qwen.vocab_size == max(qwen.special_token_ids) + 1
    assert qwen.token_id("<|fim_prefix|>") in qwen.special_token_ids
    assert qwen.token_bytes(qwen.token_id("<|fim_prefix|>") or 0) == b"<|fim_prefix|>"
    assert qwen.token_id("<|fim_prefix|> ") is None
    assert qwen.token_bytes(qwen.vocab_size + 100) == b""
    assert qwen.token_bytes(-1) == b""


@pytest.mark.parametrize(
    ("name", "bos", "eos", "add_bos"),
    [
        ("qwen-coder", None, "<|endoftext|>", False),
        ("starcoder2", "<|endoftext|>", "<|endoftext|>", False),
        ("codegemma", "<bos>", "<eos>", True),  # said by the template only
        ("codellama", "<s>", "</s>", True),
        ("deepseek-coder", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", True),
    ],
)
def test_bos_and_eos(name: str, bos: str | None, eos: str, add_bos: bool) -> None:
    tokenizer = TOKENIZERS[name]
    assert tokenizer.bos_token_id == (bos and tokenizer.token_id(bos))
    assert tokenizer.eos_token_id == tokenizer.token_id(eos)
    assert tokenizer.add_bos is add_bos
    assert tokenizer.bos_token_id not in tokenizer.encode("x") or bos is None


@given(names, any_text.map(str.encode), st.integers(0, 6))
def test_prefix_look_up_equals_a_scan(name: str, data: bytes, length: int) -> None:
    tokenizer = TOKENIZERS[name]
    prefix = data[:length]
    text_ids = [i for i in range(tokenizer.vocab_size) if i not in tokenizer.special_token_ids]
    expected = [i for i in text_ids if tokenizer.token_bytes(i).startswith(prefix) and tokenizer.token_bytes(i)]
    assert sorted(tokenizer.tokens_starting_with(prefix)) == expected
    longer = [i for i in expected if len(tokenizer.token_bytes(i)) > len(prefix)]
    assert sorted(tokenizer.tokens_extending(prefix)) == longer


@pytest.mark.parametrize("prefix", [b"\xff", b"\xff\xff", b"a\xff", b"\xf4"])
def test_prefix_look_up_at_the_last_byte(prefix: bytes) -> None:
    tokenizer = TOKENIZERS["codellama"]
    found = tokenizer.tokens_starting_with(prefix)
    assert [tokenizer.token_bytes(i) for i in found] == [prefix] * (len(prefix) == 1)


def write_model(directory: Path, definition: dict[str, Any], **files: object) -> Path:
    (directory / "tokenizer.json").write_text(json.dumps(definition), encoding="utf-8")
    for name, content in files.items():
        (directory / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return directory


def test_from_directory_reads_both_files(tmp_path: Path) -> None:
    map_file = {"eos_token": {"content": "<|im_end|>"}, "additional_special_tokens": ["<|im_end|>"]}
    directory = write_model(
        tmp_path,
        tiny.qwen_definition(),
        special_tokens_map=map_file,
        tokenizer_config={"eos_token": "<|endoftext|>", "bos_token": None},
    )
    tokenizer = Tokenizer.from_directory(directory)
    assert tokenizer.eos_token_id == tokenizer.token_id("<|endoftext|>")
    assert tokenizer.bos_token_id is None


def test_sentinels_named_only_in_the_tokens_map_are_control_tokens(tmp_path: Path) -> None:
    """The first Code Llama conversions list them there and keep them as plain pieces."""
    definition = tiny.sentencepiece()
    sentinels = ["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>", "ODDLY-NAMED"]
    vocab = definition["model"]["vocab"]
    vocab.update({piece: len(vocab) + index for index, piece in enumerate(sentinels)})
    write_model(tmp_path, definition, special_tokens_map={"additional_special_tokens": sentinels})
    tokenizer = Tokenizer.from_directory(tmp_path)
    assert {tokenizer.token_id(piece) for piece in sentinels} <= tokenizer.special_token_ids
    assert tokenizer.special_token_ids.isdisjoint(tokenizer.encode("x <PRE> y <SUF> ODDLY-NAMED"))


def test_truncation_and_padding_of_the_file_are_ignored() -> None:
    definition = tiny.byte_level()
    definition["truncation"] = {
        "direction": "Right",
        "max_length": 4,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    tokenizer = Tokenizer.from_json(json.dumps(definition))
    assert tokenizer.decode(tokenizer.encode("one two three four five")) == "one two three four five"


def test_missing_and_damaged_files_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="save_pretrained"):
        Tokenizer.from_directory(tmp_path)
    for content in (b"", b"[]", b"{", b"\xff\xfe", b"{}", b'{"model": {"vocab": 3}}', b'{"model": {"vocab": {}}}'):
        (tmp_path / "tokenizer.json").write_bytes(content)
        with pytest.raises((ModelFormatError, UnsupportedModelError), match=r"tokenizer\.json"):
            Tokenizer.from_directory(tmp_path)


@pytest.mark.parametrize("added", [[3], [{"id": "x", "content": "y"}], [{"id": 1}]])
def test_damaged_added_tokens(added: list[object]) -> None:
    definition = tiny.byte_level() | {"added_tokens": added}
    with pytest.raises(ModelFormatError, match="added tokens"):
        Tokenizer.from_json(json.dumps(definition))


def test_a_huge_id_is_refused() -> None:
    definition = tiny.byte_level()
    definition["model"]["vocab"]["huge"] = 2**31
    with pytest.raises(ModelFormatError, match="2147483648"):
        Tokenizer.from_json(json.dumps(definition))


def test_tokenizers_that_lose_text_are_refused() -> None:
    no_bytes = tiny.sentencepiece()
    no_bytes["model"]["byte_fallback"] = False
    words = tiny.byte_level()
    words["pre_tokenizer"]["type"] = "Whitespace"
    for definition in (no_bytes, words):
        with pytest.raises(UnsupportedModelError, match="another model"):
            Tokenizer.from_json(json.dumps(definition))
    eats_spaces = tiny.byte_level()
    removed = {"type": "Split", "pattern": {"String": " "}, "behavior": "Removed", "invert": False}
    eats_spaces["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [removed, eats_spaces["pre_tokenizer"]]}
    with pytest.raises(UnsupportedModelError, match="changes text"):
        Tokenizer.from_json(json.dumps(eats_spaces))


def test_neither_torch_nor_transformers_is_imported() -> None:
    code = (
        "import sys, completion_server.tokenizer, completion_server.prompt.fim\n"
        "sys.exit(bool({'torch', 'transformers'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
