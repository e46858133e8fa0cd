"""Snippets in front of a prompt: each family's documented layout, within its budget, text never a control."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.config import ContextSettings, Settings
from completion_server.prompt.build import ModelFacts, PromptBuilder
from completion_server.prompt.fim import detect_fim_format, fim_token_ids
from completion_server.prompt.snippets import lay_out_snippets
from completion_server.snippet import CrossFileContext, DocumentPlace, Snippet, SnippetKind
from completion_server.tokenizer import Tokenizer
from tests.support.marked import parse_marked
from tests.support.tiny_tokenizers import FAMILIES

FIRST = Snippet("p/a.py", "python", 0, 2, SnippetKind.DEFINITION, "def f(a):\ndef g(b):\n")
SECOND = Snippet("p/b.py", "python", 4, 5, SnippetKind.SIMILAR, "<|file_sep|> = 1\n")
CONTEXT = CrossFileContext((FIRST, SECOND), DocumentPlace("p/c.py", "repo"))
ON = Settings(context=ContextSettings(cross_file="on"))
MARKED = "x = 1\ny = ˇ\nz = 2\n"


def spelled(tokenizer: Tokenizer, token_ids: tuple[int, ...]) -> str:
    return "".join(tokenizer.token_bytes(token_id).decode() for token_id in token_ids)


def prompt_of(name: str, context: CrossFileContext | None, order: str = "auto") -> str:
    tokenizer = FAMILIES[name]()
    builder = PromptBuilder(tokenizer, ModelFacts(None, 4096), prompt_order=order)
    prompt = builder.build(*parse_marked(MARKED), ON, 16, "", context)
    return spelled(tokenizer, prompt.token_ids)


BEST_LAST = "p/b.py\n<|file_sep|> = 1\n{0}p/a.py\ndef f(a):\ndef g(b):\n{0}"
COMMENTED = "# p/b.py\n# <|file_sep|> = 1\n\n# p/a.py\n# def f(a):\n# def g(b):\n\n"


@pytest.mark.parametrize(
    ("name", "start"),
    [
        (
            "qwen-coder",
            "<|repo_name|>repo\n<|file_sep|>" + BEST_LAST.format("<|file_sep|>") + "p/c.py\n<|fim_prefix|>x = 1\n",
        ),
        (
            "starcoder2",
            "<repo_name>repo<file_sep>" + BEST_LAST.format("<file_sep>") + "<fim_prefix>p/c.py\nx = 1\n",
        ),
        (
            "mellum",
            "<filename>" + BEST_LAST.format("<filename>") + "p/c.py\n<fim_suffix>\nz = 2\n",
        ),
        ("spm", COMMENTED + "<|fim_suffix|>\nz = 2\n<|fim_middle|>x = 1\n"),
        ("codestral", "<s>" + COMMENTED + "[SUFFIX]"),
        ("prefix-only", COMMENTED + "x = 1\n"),
    ],
)
def test_the_layout_of_a_family(name: str, start: str) -> None:
    text = prompt_of(name, CONTEXT)
    assert text.removeprefix("<|im_start|>").removeprefix("<|endoftext|>").replace("▁", " ").startswith(start)


# Whole prompts, written out by hand from the sources named in fim_table.py.
FIXED_PROMPTS = {
    "starcoder2": (
        "<repo_name>repo<file_sep>p/a.py\ndef f(a):\ndef g(b):\n"
        "<file_sep><fim_prefix>p/c.py\nx = 1\ny =<fim_suffix>\nz = 2\n<fim_middle>"
    ),
    "qwen-coder": (
        "<|repo_name|>repo\n<|file_sep|>p/a.py\ndef f(a):\ndef g(b):\n"
        "<|file_sep|>p/c.py\n<|fim_prefix|>x = 1\ny =<|fim_suffix|>\nz = 2\n<|fim_middle|>"
    ),
    "mellum": (
        "<filename>p/a.py\ndef f(a):\ndef g(b):\n"
        "<filename>p/c.py\n<fim_suffix>\nz = 2\n<fim_prefix>x = 1\ny =<fim_middle>"
    ),
}


@pytest.mark.parametrize("name", FIXED_PROMPTS)
def test_a_prompt_with_another_file_is_the_documented_one(name: str) -> None:
    context = CrossFileContext((FIRST,), DocumentPlace("p/c.py", "repo"))
    # Token healing takes back the space before the cursor.
    assert prompt_of(name, context).replace("▁", " ") == FIXED_PROMPTS[name]


@pytest.mark.parametrize("name", FAMILIES)
def test_without_snippets_the_prompt_is_what_it_was(name: str) -> None:
    assert prompt_of(name, CrossFileContext()) == prompt_of(name, None)


def test_shown_by_default_where_the_family_was_trained_on_it() -> None:
    shown = {
        name for name, make in FAMILIES.items() if PromptBuilder(make(), ModelFacts()).shows_snippets(Settings())
    }
    assert shown == {"qwen-coder", "starcoder2", "mellum"}
    builder = PromptBuilder(FAMILIES["qwen-coder"](), ModelFacts())
    assert not builder.shows_snippets(Settings(context=ContextSettings(cross_file="off")))
    assert not builder.shows_snippets(Settings(context=ContextSettings(cross_file="on", max_snippet_tokens=0)))
    assert PromptBuilder(FAMILIES["spm"](), ModelFacts()).shows_snippets(ON)


@given(
    name=st.sampled_from(sorted(FAMILIES)),
    texts=st.lists(
        st.text(alphabet="ab <|fim_suffix>\n", min_size=1, max_size=80).map(lambda text: text + "\n"), max_size=4
    ),
    max_tokens=st.integers(1, 200),
)
def test_the_budget_holds_and_text_adds_no_control_token(name: str, texts: list[str], max_tokens: int) -> None:
    tokenizer = FAMILIES[name]()
    fim_format = detect_fim_format(tokenizer).format
    tokens = fim_token_ids(fim_format, tokenizer)
    snippets = tuple(Snippet(f"{n}.py", "python", 0, 1, SnippetKind.SIMILAR, text) for n, text in enumerate(texts))
    context = CrossFileContext(snippets, DocumentPlace("c.py", "r"))
    ids = lay_out_snippets(fim_format, tokens, context, "python", tokenizer.encode, max_tokens)
    assert len(ids.before) + len(ids.prefix_head) <= max_tokens
    assert len(ids.sizes) == len(snippets)
    controls = [each for each in (*ids.before, *ids.prefix_head) if each in tokenizer.special_token_ids]
    num_shown = sum(size > 0 for size in ids.sizes)
    if tokens.snippet is None or not num_shown:
        assert controls == []
    else:
        repo = [tokens.repo] if tokens.repo is not None and fim_format.repo_end is not None else []
        assert controls == repo + [tokens.snippet] * (num_shown + 1)


def test_a_prompt_stays_within_its_size() -> None:
    builder = PromptBuilder(FAMILIES["qwen-coder"](), ModelFacts(None, 4096))
    small = Settings(context=ContextSettings(cross_file="on", max_prompt_tokens=512, max_suffix_tokens=64))
    long = Snippet("p/a.py", "python", 0, 99, SnippetKind.SIMILAR, "value = compute(1)\n" * 99)
    document, position = parse_marked("x = 1\n" * 200 + "ˇ" + "y = 1\n" * 200)
    prompt = builder.build(
        document, position, small, 16, "", CrossFileContext((long,), DocumentPlace("c.py", "r"))
    )
    assert 0 < prompt.snippet_sizes[0] <= 128
    assert prompt.num_prompt_tokens <= 512 + 8
