"""Every format: spelled with tokens that exist, told apart from its neighbours, laid out to be parsed back."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.errors import ModelFormatError
from completion_server.prompt.fim import (
    FIM_FORMATS,
    PREFIX_ONLY,
    FimFormat,
    FimLayout,
    FimTokens,
    PromptOrder,
    choose_order,
    detect_fim_format,
    fim_format_names,
    fim_token_ids,
    layout,
    with_spellings,
)
from completion_server.tokenizer import Tokenizer
from tests.support import tiny_tokenizers as tiny

FORMATS = {each.name: each for each in FIM_FORMATS}
TOKENIZERS = {name: tiny.FAMILIES[name]() for name in tiny.FAMILIES}
WITH_SUFFIX = [name for name in FORMATS if name != "prefix-only"]
ORDERS = [(name, order) for name in WITH_SUFFIX for order in FORMATS[name].orders]

# Written out by hand, as the sources print them: P and S are the parts, "^" the start of the prompt.
EXPECTED_PROMPTS = {
    ("qwen-coder", "psm"): "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>",
    ("qwen-coder", "spm"): "<|fim_prefix|><|fim_suffix|>S<|fim_middle|>P",
    ("starcoder2", "psm"): "<fim_prefix>P<fim_suffix>S<fim_middle>",
    ("starcoder2", "spm"): "<fim_prefix><fim_suffix>S<fim_middle>P",
    ("santacoder", "psm"): "<fim-prefix>P<fim-suffix>S<fim-middle>",
    ("santacoder", "spm"): "<fim-prefix><fim-suffix>S<fim-middle>P",
    ("deepseek-coder", "psm"): "<｜begin▁of▁sentence｜><｜fim▁begin｜>P<｜fim▁hole｜>S<｜fim▁end｜>",
    ("deepseek-coder", "spm"): "<｜begin▁of▁sentence｜><｜fim▁begin｜><｜fim▁hole｜>S<｜fim▁end｜>P",
    ("codellama", "psm"): "<s> <PRE>P <SUF>S <MID>",
    ("codellama", "spm"): "<s> <PRE> <SUF>S <MID>P",
    ("codegemma", "psm"): "<bos><|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>",
    ("codegemma", "spm"): "<bos><|fim_prefix|><|fim_suffix|>S<|fim_middle|>P",
    ("codestral", "spm"): "<s>[SUFFIX]S[PREFIX]P",
    ("granite-3", "psm"): "<fim_prefix>P<fim_suffix>S<fim_middle>",
    ("granite-3", "spm"): "<fim_prefix><fim_suffix>S<fim_middle>P",
    ("granite-4", "psm"): "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>",
    ("granite-4", "spm"): "<|fim_prefix|><|fim_suffix|>S<|fim_middle|>P",
    ("mellum", "spm"): "<fim_suffix>S<fim_prefix>P<fim_middle>",
    ("spm", "spm"): "<|fim_suffix|>S<|fim_middle|>P",
}
DEFAULT_ORDERS = dict.fromkeys(FORMATS, "psm") | dict.fromkeys(("codestral", "mellum", "spm"), "spm")


def tokens_of(name: str) -> FimTokens:
    return fim_token_ids(FORMATS[name], TOKENIZERS[name])


def test_there_is_a_tokenizer_for_every_format() -> None:
    assert FORMATS.keys() == TOKENIZERS.keys()
    assert {(name, order.value) for name, order in ORDERS} == EXPECTED_PROMPTS.keys()


@pytest.mark.parametrize(("name", "order"), ORDERS)
def test_the_prompt_is_the_documented_one(name: str, order: PromptOrder) -> None:
    tokenizer = TOKENIZERS[name]
    prompt = layout(FORMATS[name], order, tokenizer.encode("P"), tokenizer.encode("S"), tokens_of(name))
    assert tokenizer.decode(prompt.token_ids) == EXPECTED_PROMPTS[name, order.value]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_default_orders(name: str) -> None:
    fim_format = FORMATS[name]
    assert fim_format.default_order.value == DEFAULT_ORDERS[name]
    assert set(fim_format.trained_orders) <= set(fim_format.orders)
    if fim_format.orders:
        assert fim_format.default_order in fim_format.trained_orders
    assert choose_order(fim_format) is fim_format.default_order
    for order in fim_format.orders:
        assert choose_order(fim_format, order.value) is order


@pytest.mark.parametrize("name", ["mellum", "codestral", "spm"])
def test_an_order_that_a_format_lacks(name: str) -> None:
    assert choose_order(FORMATS[name], "psm") is PromptOrder.SPM
    with pytest.raises(ModelFormatError, match="no order psm"):
        layout(FORMATS[name], PromptOrder.PSM, [1], [2], tokens_of(name))


@pytest.mark.parametrize(("name", "order"), ORDERS)
def test_where_generation_starts(name: str, order: PromptOrder) -> None:
    prompt = layout(FORMATS[name], order, [1, 2], [3], tokens_of(name))
    assert prompt.ends_with_prefix == (order is PromptOrder.SPM and name != "mellum")
    if not prompt.ends_with_prefix:
        assert prompt.token_ids[-1] == tokens_of(name).middle


def parse(fim_format: FimFormat, prompt: FimLayout, tokens: FimTokens) -> tuple[list[int], list[int]]:
    """Prefix and suffix read back from the ids alone: each runs from what precedes it to the next sentinel."""
    sentinels = {tokens.prefix, tokens.suffix, tokens.middle} - {None}
    runs: dict[int, list[int]] = {}
    current: list[int] = []
    last = -1
    for token_id in prompt.token_ids:
        if token_id in sentinels:
            last = token_id
            current = runs[last] = []
        else:
            current.append(token_id)
    assert tokens.suffix is not None
    suffix = runs.pop(tokens.suffix)
    return [token_id for run in runs.values() for token_id in run], suffix


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.sampled_from(ORDERS), texts, texts, st.sampled_from(["", "# other file\n"]))
def test_round_trip(case: tuple[str, PromptOrder], prefix: str, suffix: str, context: str) -> None:
    name, order = case
    tokenizer, tokens = TOKENIZERS[name], tokens_of(case[0])
    prefix_ids, suffix_ids, context_ids = map(tokenizer.encode, (prefix, suffix, context))
    prompt = layout(FORMATS[name], order, prefix_ids, suffix_ids, tokens, context_ids)
    assert parse(FORMATS[name], prompt, tokens) == (prefix_ids, suffix_ids)
    assert list(prompt.token_ids[prompt.prefix_start : prompt.prefix_end]) == prefix_ids
    assert list(prompt.token_ids[prompt.suffix_start : prompt.suffix_end]) == suffix_ids
    head = [*tokens.start, *context_ids]
    assert list(prompt.token_ids[: len(head)]) == head
    # Sentinels appear once each, whatever the parts hold.
    assert sum(token_id in tokenizer.special_token_ids for token_id in prompt.token_ids) == len(
        tokens.start
    ) + len(FORMATS[name].sentinel_tokens)


@pytest.mark.parametrize(("name", "order"), ORDERS)
def test_user_text_that_spells_sentinels_adds_none(name: str, order: PromptOrder) -> None:
    tokenizer = TOKENIZERS[name]
    nasty = "".join((*FORMATS[name].sentinel_tokens, *FORMATS[name].stop_tokens)).replace("▁<", " <")
    ids = tokenizer.encode(nasty)
    prompt = layout(FORMATS[name], order, ids, ids, tokens_of(name))
    assert parse(FORMATS[name], prompt, tokens_of(name)) == (ids, ids)


@pytest.mark.parametrize(("name", "order"), ORDERS)
def test_empty_parts_keep_their_sentinels(name: str, order: PromptOrder) -> None:
    tokens = tokens_of(name)
    prompt = layout(FORMATS[name], order, [], [], tokens)
    sentinels = {tokens.prefix, tokens.suffix, tokens.middle} - {None}
    assert set(prompt.token_ids) == sentinels | set(tokens.start)


def test_prefix_only_has_nothing_but_the_prefix() -> None:
    tokens = tokens_of("prefix-only")
    prompt = layout(PREFIX_ONLY, PromptOrder.SPM, [7, 8], [9], tokens, [5])
    assert prompt.token_ids == (5, 7, 8)
    assert prompt.ends_with_prefix
    assert (prompt.prefix_start, prompt.prefix_end) == (1, 3)
    assert tokens.stop_token_ids == TOKENIZERS["prefix-only"].special_token_ids


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_token_of_the_table_is_one_control_token_of_its_family(name: str) -> None:
    fim_format, tokenizer = FORMATS[name], TOKENIZERS[name]
    spellings = {*fim_format.sentinel_tokens, *fim_format.stop_tokens, *fim_format.prompt_start_tokens}
    spellings |= {*fim_format.evidence_tokens, fim_format.end_token or tokenizer.decode([0])}
    ids = {spelling: tokenizer.token_id(spelling) for spelling in spellings}
    assert set(ids.values()) <= tokenizer.special_token_ids, ids
    assert len(set(ids.values())) == len(ids)
    for separators in (fim_format.file_separator_tokens, fim_format.repo_tokens):
        assert not separators or any(
            tokenizer.token_id(each) in tokenizer.special_token_ids for each in separators
        )


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_stop_tokens_can_occur_and_are_never_code(name: str) -> None:
    tokens, tokenizer = tokens_of(name), TOKENIZERS[name]
    assert tokens.stop_token_ids
    assert tokens.stop_token_ids <= tokenizer.special_token_ids
    assert tokens.end in tokens.stop_token_ids
    assert tokenizer.eos_token_id in tokens.stop_token_ids
    assert {tokens.prefix, tokens.suffix, tokens.middle} - {None} <= tokens.stop_token_ids


_ONE_TOKEN = re.compile(r"▁?<[^<>\s\"',]+>|\[[A-Z]+\]")


@pytest.mark.parametrize("fim_format", FIM_FORMATS, ids=lambda each: each.name)
def test_no_two_tokens_are_fused_and_none_is_code(fim_format: FimFormat) -> None:
    """A missing comma or a stray quote between two stop tokens makes one that never occurs."""
    every = (
        *fim_format.sentinel_tokens,
        *fim_format.stop_tokens,
        *fim_format.evidence_tokens,
        *fim_format.file_separator_tokens,
        *fim_format.repo_tokens,
        *fim_format.prompt_start_tokens,
        *((fim_format.end_token,) if fim_format.end_token else ()),
    )
    assert [token for token in every if not _ONE_TOKEN.fullmatch(token)] == []
    assert len(set(fim_format.sentinel_tokens)) == len(fim_format.sentinel_tokens)


def test_the_stop_tokens_of_families_that_share_sentinels_differ() -> None:
    def spelled(name: str) -> set[str]:
        return {TOKENIZERS[name].token_bytes(i).decode() for i in tokens_of(name).stop_token_ids}

    assert "<|file_separator|>" in spelled("codegemma")
    assert not {"<|endoftext|>", "<|fim_pad|>"} & spelled("codegemma")
    assert {"<|endoftext|>", "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>", "<|im_end|>"} <= spelled("qwen-coder")
    assert "<|end_of_text|>" in spelled("granite-4")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_tokenizer_is_known_by_its_own_tokens(name: str) -> None:
    found = detect_fim_format(TOKENIZERS[name])
    assert found.format.name == name
    assert (found.warning is None) == (name != "prefix-only")


@pytest.mark.parametrize("model_type", ["llama", "gpt_bigcode", None, "never heard of"])
def test_granite_code_and_starcoder_share_a_format(model_type: str | None) -> None:
    assert detect_fim_format(tiny.starcoder(), model_type=model_type).format.name == "starcoder2"


def test_the_model_type_decides_between_formats_that_both_fit() -> None:
    assert detect_fim_format(TOKENIZERS["mellum"], model_type="llama").format.name == "mellum"
    assert detect_fim_format(TOKENIZERS["mellum"], model_type="gpt_bigcode").format.name == "starcoder2"


def test_no_tokens_means_prefix_only_and_a_warning() -> None:
    found = detect_fim_format(TOKENIZERS["prefix-only"], "auto")
    assert found.format is PREFIX_ONLY
    assert found.warning
    assert "text after the cursor" in found.warning


def bare(special: Sequence[str], special_flag: bool = True) -> Tokenizer:
    return Tokenizer.from_json(json.dumps(tiny.append_tokens(tiny.byte_level(), special, special=special_flag)))


@pytest.mark.parametrize(
    "special",
    [
        ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", "<|endoftext|>"),  # GLM
        ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # whose, and how does a middle end?
        ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>"),
        ("<fim_prefix>", "<fim_middle>", "<fim_pad>", "<|endoftext|>"),  # one is missing
        ("<|fim_prefix|><|fim_suffix|>", "<|fim_middle|>", "<|end_of_text|>", "<|filename|>"),  # fused
        ("<|fim_prefix>", "<|fim_suffix|>", "<|fim_middle|>", "<|end_of_text|>", "<|filename|>"),  # misspelt
        ("<|fim▁begin|>", "<|fim▁hole|>", "<|fim▁end|>", "<｜end▁of▁sentence｜>"),  # ASCII bars
        ("<PRE>", "<SUF>", "<MID>", "<EOT>"),  # without the space that Code Llama's have
    ],
)
def test_unknown_families_never_get_the_sentinels_of_others(special: Sequence[str]) -> None:
    found = detect_fim_format(bare(special))
    assert found.format is PREFIX_ONLY
    assert found.warning
    assert any(token in found.warning for token in special), found.warning


def test_a_sentinel_that_is_an_ordinary_token_does_not_count() -> None:
    ordinary = with_spellings(FORMATS["spm"], {"suffix": "def", "middle": "return"})
    tokenizer = TOKENIZERS["qwen-coder"]
    assert tokenizer.token_id("def") is not None
    with pytest.raises(ModelFormatError, match="def"):
        fim_token_ids(ordinary, tokenizer)


@pytest.mark.parametrize(
    ("override", "family", "expected"),
    [
        ("granite", "granite-4", "granite-4"),
        ("granite", "granite-3", "granite-3"),
        ("granite", "starcoder2", "starcoder2"),  # Granite Code has StarCoder's vocabulary
        ("bigcode", "mellum", "starcoder2"),
        ("qwen-coder", "granite-4", "qwen-coder"),  # the user insists, and every sentinel is there
        ("prefix-only", "qwen-coder", "prefix-only"),
    ],
)
def test_an_override_that_fits_is_taken_without_a_word(override: str, family: str, expected: str) -> None:
    found = detect_fim_format(TOKENIZERS[family], override)
    assert (found.format.name, found.warning) == (expected, None)


@pytest.mark.parametrize(
    ("override", "family", "expected"),
    [
        ("codellama", "qwen-coder", "qwen-coder"),
        ("starcoder2", "prefix-only", "prefix-only"),
        ("no-such-format", "starcoder2", "starcoder2"),
        ("spm", "prefix-only", "prefix-only"),
    ],
)
def test_an_override_that_does_not_fit_warns_and_falls_back(override: str, family: str, expected: str) -> None:
    found = detect_fim_format(TOKENIZERS[family], override)
    assert found.format.name == expected
    assert found.warning
    assert override in found.warning


def test_an_adapter_maps_our_format_onto_reserved_tokens() -> None:
    spellings = {"suffix": "<gh_stars>", "middle": "<issue_start>", "end": "<issue_closed>"}
    tokenizer = TOKENIZERS["prefix-only"]
    found = detect_fim_format(tokenizer, "spm", "llama", spellings)
    assert found.warning is None
    tokens = fim_token_ids(found.format, tokenizer)
    prompt = layout(found.format, PromptOrder.SPM, tokenizer.encode("P"), tokenizer.encode("S"), tokens)
    assert tokenizer.decode(prompt.token_ids) == "<gh_stars>S<issue_start>P"
    assert tokens.end == tokenizer.token_id("<issue_closed>")
    assert tokens.file_separator == tokenizer.token_id("<file_sep>")


def test_a_misspelt_role_is_refused() -> None:
    with pytest.raises(ModelFormatError, match="sufix"):
        with_spellings(FORMATS["spm"], {"sufix": "<gh_stars>"})


def test_tokens_of_a_format_that_does_not_fit_are_refused() -> None:
    with pytest.raises(ModelFormatError, match="<fim_prefix>"):
        fim_token_ids(FORMATS["starcoder2"], TOKENIZERS["qwen-coder"])
    with pytest.raises(ModelFormatError, match="no suffix_token"):
        layout(FORMATS["spm"], PromptOrder.SPM, [1], [2], replace(tokens_of("spm"), suffix=None))


def test_names_of_formats_and_aliases() -> None:
    assert {"qwen-coder", "granite", "bigcode", "prefix-only"} <= set(fim_format_names())
    assert "auto" not in fim_format_names()
    assert len({each.name for each in FIM_FORMATS}) == len(FIM_FORMATS)
