from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.config import ContextSettings, Settings
from completion_server.document import Document, Position
from completion_server.errors import ModelError
from completion_server.prompt.fim import PREFIX_ONLY, choose_order, fim_token_ids
from completion_server.prompt.fim_table import CODESTRAL, FIM_FORMATS, STARCODER, FimFormat
from completion_server.remote.dialect import gbnf_start
from completion_server.remote.prompt import PromptPlan, PromptShape, RemotePrompt, RemotePromptBuilder, text_layout
from completion_server.tokenizer import Tokenizer
from tests.support.marked import parse_marked
from tests.support.tiny_gguf import write_tokenizer

TEXT, PARTS = PromptShape(), PromptShape(is_parts=True)
FORCED = PromptShape(is_parts=True, can_force_start=True)
SETTINGS = Settings()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_directory(write_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def plan_of(shape: PromptShape, fim_format: FimFormat = STARCODER, order: str = "auto") -> PromptPlan:
    return PromptPlan(shape, fim_format, choose_order(fim_format, order))


def build(plan: PromptPlan, marked: str, settings: Settings = SETTINGS) -> RemotePrompt:
    return RemotePromptBuilder(lambda: plan, None).build(*parse_marked(marked), settings, 16)


def test_text_has_the_sentinels_around_the_parts() -> None:
    prompt = build(plan_of(TEXT), "abˇcd\n")
    assert prompt.text == "<fim_prefix>ab<fim_suffix>cd\n<fim_middle>"
    assert prompt.start == ""


def test_where_the_prefix_ends_the_prompt_its_last_run_is_cut_off() -> None:
    prompt = build(plan_of(TEXT, CODESTRAL), "x = complˇ\n")
    assert (prompt.text, prompt.start) == ("[SUFFIX]\n[PREFIX]x =", " compl")
    prompt = build(plan_of(TEXT, STARCODER, "spm"), "if a:\n    ˇ\n")
    assert prompt.text == "<fim_prefix><fim_suffix>\n<fim_middle>if a:"
    assert prompt.start == "\n    "


def test_parts_are_cut_only_where_the_start_can_be_forced() -> None:
    assert build(plan_of(FORCED), "x = complˇ(1)").prefix == "x ="
    prompt = build(plan_of(PARTS), "x = complˇ(1)")
    assert (prompt.prefix, prompt.suffix, prompt.start) == ("x = compl", "(1)", "")


def test_parts_are_sent_whatever_they_spell() -> None:
    prompt = build(plan_of(FORCED), "x = '<fim_middle>ˇ'")
    assert (prompt.prefix + prompt.start, prompt.refusal) == ("x = '<fim_middle>", "")


def test_an_empty_document_is_nothing_to_go_on_from() -> None:
    assert build(plan_of(TEXT, PREFIX_ONLY), "ˇ").refusal
    assert build(plan_of(TEXT, PREFIX_ONLY), "defˇ").text == "def"
    assert not build(plan_of(FORCED), "ˇ").refusal


def test_half_surrogates_do_not_reach_the_wire() -> None:
    prompt = build(plan_of(PARTS), "x\ud800 = ˇ\ud801")
    (prompt.prefix + prompt.suffix).encode()


def test_without_a_plan_there_is_a_refusal() -> None:
    assert RemotePromptBuilder(lambda: None, None).build(*parse_marked("xˇ"), SETTINGS, 16).refusal


documents = st.lists(st.text(alphabet="ab é日🎉\t", max_size=40), min_size=1, max_size=40).map("\n".join)


@given(documents, st.data())
def test_the_budget_holds_by_the_guess(text: str, data: st.DataObject) -> None:
    document = Document.from_text(text, uri="file:///a.py", language_id="python")
    line = data.draw(st.integers(0, len(document.lines) - 1))
    column = data.draw(st.integers(0, len(document.lines[line].rstrip("\n"))))
    settings = Settings(context=ContextSettings(max_prompt_tokens=64, max_suffix_tokens=16))
    prompt = RemotePromptBuilder(lambda: plan_of(PARTS), None).build(
        document, Position(line, column), settings, 16
    )
    assert len(prompt.prefix.encode()) <= 2 * 48
    assert len(prompt.suffix.encode()) <= 2 * 16
    assert prompt.num_prompt_tokens <= 64
    assert document.text_before(Position(line, column), 0).endswith(prompt.prefix)
    assert document.text_after(Position(line, column), len(document.lines)).startswith(prompt.suffix)


def test_a_small_context_of_the_server_bounds_the_prompt_or_is_told() -> None:
    marked = "x = 1\n" * 200 + "ˇ"
    small = PromptPlan(PARTS, STARCODER, choose_order(STARCODER), max_context=128)
    assert len(build(small, marked).prefix) <= 2 * 80
    with pytest.raises(ModelError, match="larger context"):
        build(PromptPlan(PARTS, STARCODER, choose_order(STARCODER), max_context=48), marked)


def test_the_head_of_the_prompt_keeps_still_while_typing() -> None:
    text = "".join(f"line_{number} = {number}\n" for number in range(400))
    heads = {build(plan_of(PARTS), f"{text}value = {'x' * typed}ˇ").prefix[:400] for typed in range(20)}
    assert len(heads) == 1


@pytest.mark.parametrize("fim_format", FIM_FORMATS, ids=lambda fim_format: fim_format.name)
def test_every_format_can_be_written_as_text(fim_format: FimFormat) -> None:
    for order in fim_format.orders:
        text = text_layout(fim_format, order, "PRE", "POST")
        assert all(token in text for token in fim_format.sentinel_tokens)
        assert "PRE" in text
        assert "POST" in text


@given(st.text(alphabet="abc <>\n é'", max_size=30), st.text(alphabet="abc <>\n", max_size=30))
def test_token_prompts_spell_the_parts_and_the_start(tokenizer: Tokenizer, before: str, after: str) -> None:
    shape = PromptShape(is_tokens=True, can_force_start=True)
    fim_tokens = fim_token_ids(STARCODER, tokenizer)
    plan = PromptPlan(shape, STARCODER, choose_order(STARCODER), fim_tokens)
    builder = RemotePromptBuilder(lambda: plan, tokenizer)
    prompt = builder.build(*parse_marked(f"{before}ˇ{after}"), SETTINGS, 16)
    prefix = before.removesuffix(prompt.start)
    assert before == prefix + prompt.start
    expected = f"<fim_prefix>{prefix}<fim_suffix>{after}<fim_middle>"
    assert tokenizer.decode(prompt.token_ids) == expected
    # Only the sentinels are control tokens, whatever the text spells.
    assert sum(token_id in tokenizer.special_token_ids for token_id in prompt.token_ids) == 3


def test_special_spellings_stay_text_in_token_prompts(tokenizer: Tokenizer) -> None:
    fim_tokens = fim_token_ids(STARCODER, tokenizer)
    plan = PromptPlan(PromptShape(is_tokens=True), STARCODER, choose_order(STARCODER), fim_tokens)
    builder = RemotePromptBuilder(lambda: plan, tokenizer)
    prompt = builder.build(*parse_marked("a = '<fim_middle>'\nb = ˇ"), SETTINGS, 16)
    assert sum(token_id in tokenizer.special_token_ids for token_id in prompt.token_ids) == 3
    assert prompt.start == ""


def test_a_prefix_only_model_without_text_gets_a_start_token(tokenizer: Tokenizer) -> None:
    plan = PromptPlan(
        PromptShape(is_tokens=True), PREFIX_ONLY, choose_order(PREFIX_ONLY), fim_token_ids(PREFIX_ONLY, tokenizer)
    )
    prompt = RemotePromptBuilder(lambda: plan, tokenizer).build(*parse_marked("ˇ"), SETTINGS, 16)
    assert prompt.token_ids == (tokenizer.token_id("<|endoftext|>"),)


@pytest.mark.parametrize(
    ("start", "grammar"),
    [
        ("abc", 'root ::= "abc" .*'),
        ('a"\\', 'root ::= "a\\"\\\\" .*'),
        ("\n\t\r\x01é", 'root ::= "\\n\\t\\r\\x01é" .*'),
    ],
)
def test_grammars_spell_the_start(start: str, grammar: str) -> None:
    assert gbnf_start(start) == grammar


def test_the_tokenizer_may_be_named_by_its_file(tmp_path: Path) -> None:
    from completion_server.remote.build import _read_tokenizer

    directory = write_tokenizer(tmp_path)
    assert (
        _read_tokenizer(str(directory)).vocab_size == _read_tokenizer(str(directory / "tokenizer.json")).vocab_size
    )


@pytest.mark.parametrize("shape", [TEXT, PARTS, FORCED])
def test_secrets_are_not_sent(shape: PromptShape) -> None:
    secret = "ghp_" + "a1B2" * 9
    prompt = build(plan_of(shape), f"token = '{secret}'\nx = 1ˇ\nother = '{secret}'\n")
    assert "token = '" in prompt.text + prompt.prefix
    assert secret[:12] not in prompt.text + prompt.prefix + prompt.suffix
