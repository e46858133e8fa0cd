"""The text at hand: what it holds, what it leaves out, and what it costs from key to key."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.config import ContextSettings, Settings
from completion_server.document import Document, Position
from completion_server.engine.local_ngrams import LocalNgrams
from completion_server.model import TEXT_END, LocalText
from completion_server.prompt.build import ModelFacts, PromptBuilder
from completion_server.prompt.local_text import LocalTexts
from completion_server.snippet import CrossFileContext, Snippet, SnippetKind
from tests.support.byte_tokenizer import ByteTokenizer
from tests.support.tiny_tokenizers import FAMILIES

TOKENIZER = ByteTokenizer()
ON = Settings(context=ContextSettings(local_ngrams="on"))
SECRET = "ghp_" + "a1B2c3D4e5F6" * 4


def texts_of(local: LocalText) -> list[str]:
    ids = np.frombuffer(local.token_ids, np.int32)
    ends = np.flatnonzero(ids == TEXT_END)
    assert len(ids) == 0 or ends[-1] == len(ids) - 1
    starts = [0, *(ends[:-1] + 1)]
    pieces = [ids[start:end] for start, end in zip(starts, ends, strict=True)]
    return [b"".join(TOKENIZER.token_bytes(int(each)) for each in piece).decode() for piece in pieces]


def collect(
    lines: list[str],
    shown: tuple[int, int],
    snippets: tuple[str, ...] = (),
    kind: SnippetKind = SnippetKind.SIMILAR,
) -> list[str]:
    document = Document.from_text("".join(lines), uri="file:///a.py", language_id="python")
    found = tuple(Snippet("b.py", "python", 0, 1, kind, text) for text in snippets)
    context = CrossFileContext(found) if found else None
    return texts_of(LocalTexts(TOKENIZER.encode).collect(document, shown, [1, 2], context))


def recording() -> tuple[LocalTexts, list[str]]:
    """A collector, and what it has had encoded so far."""
    encoded: list[str] = []

    def encode(text: str) -> list[int]:
        encoded.append(text)
        return TOKENIZER.encode(text)

    return LocalTexts(encode), encoded


@given(st.integers(1, 400), st.data())
def test_every_line_that_the_prompt_does_not_show_is_there_once(num_lines: int, data: st.DataObject) -> None:
    lines = [f"value_{number} = {number}\n" for number in range(num_lines)]
    first = data.draw(st.integers(0, num_lines - 1))
    end = data.draw(st.integers(first, num_lines))
    texts = collect(lines, (first, end))
    assert sorted(each for text in texts for each in text.splitlines(keepends=True)) == sorted(
        lines[:first] + lines[end:]
    )


def test_snippets_come_too_and_secrets_do_not() -> None:
    lines = ["import json\n", f'token = "{SECRET}"\n', "x = 1\n", "y\n"]
    texts = collect(lines, (2, 4), ("def area(): ...\n", f'key = "{SECRET}"\n'))
    assert "def area(): ...\n" in texts
    assert SECRET not in "".join(texts)
    assert 'token = "x' in "".join(texts)


def test_no_line_of_a_sketch_has_an_end() -> None:
    """Heads are sketched without their bodies and what opens them; a line end after them would be made up."""
    sketch = "func (p *parser) Close(node ast.Node)\nfunc Find(" + "a, " * 30 + "…\n\ntype parser struct {\n"
    document = Document.from_text("package main\n", uri="file:///a.go", language_id="go")
    for kind, expected in (
        (SnippetKind.DEFINITION, [*sketch.replace("…", "").splitlines()[:2], "type parser struct {"]),
        (SnippetKind.SIMILAR, [sketch]),
    ):
        context = CrossFileContext((Snippet("b.go", "go", 0, 9, kind, sketch),))
        texts = LocalTexts(TOKENIZER.encode)
        for _ in range(2):  # the second from what is remembered
            assert texts_of(texts.collect(document, (0, 2), [1, 2], context)) == expected


def test_names_that_a_sketch_puts_in_a_row_are_texts_of_their_own() -> None:
    """What stands between them there stands nowhere in the file."""
    sketch = "class Box(Base):\n    left: int; right: int;\n    def of(cls, x, y):\n    RED, DARK_GREEN,\nareas,\n"
    found = collect(["x\n"], (0, 2), (sketch,), SnippetKind.DEFINITION)
    heads, fields = ["class Box(Base):", "    def of(cls, x, y):"], ["    left: int", " right: int"]
    assert found == [heads[0], *fields, heads[1], "    RED", " DARK_GREEN", "areas"]


def test_a_sketch_that_was_seen_before_costs_nothing() -> None:
    texts, encoded = recording()
    sketch = "".join(f"def area{number}(x):\n" for number in range(900))
    context = CrossFileContext((Snippet("b.py", "python", 0, 9, SnippetKind.DEFINITION, sketch),))
    document = Document.from_text("x\n", uri="file:///a.py", language_id="python")
    texts.collect(document, (0, 2), [1, 2], context)
    assert len(encoded) == 900
    texts.collect(document, (0, 2), [1, 2], context)
    assert len(encoded) == 900


def test_a_head_out_of_a_sketch_is_not_ended_after_its_parameters() -> None:
    sketch = "func (p *parser) Close(node ast.Node)\n"
    context = CrossFileContext((Snippet("b.go", "go", 0, 9, SnippetKind.DEFINITION, sketch),))
    document = Document.from_text("package main\n", uri="file:///a.go", language_id="go")
    before = TOKENIZER.encode("\nfunc (p *parser) Clo")
    ngrams = LocalNgrams(LocalTexts(TOKENIZER.encode).collect(document, (0, 2), before, context))
    for token_id in TOKENIZER.encode("se(node ast.Node)"):
        vote = ngrams.vote()
        assert vote is not None
        assert int(vote.token_ids[vote.probabilities.argmax()]) == token_id
        ngrams.append(token_id)
    assert ngrams.vote() is None


def test_long_documents_and_lines_are_cut() -> None:
    lines = ["a = 1\n" * 1] * 20_000
    num_chars = sum(map(len, collect(lines, (10_000, 10_001))))
    assert 30_000 < num_chars < 2 * 24_000 + 1_000
    data = ["x = [" + "1, " * 4_000 + "]\n", *["b = 2\n"] * 200, "c\n"]
    texts = "".join(collect(data, (150, 202)))
    assert "1, 1" not in texts
    assert 100 <= texts.count("b = 2") < 150, "the data's block is left out"


def test_a_key_costs_the_current_line_only() -> None:
    texts, encoded = recording()
    document = Document.from_text("v = 1\n" * 900, uri="file:///a.py", language_id="python")
    position = Position(450, 0)
    for key in ["", *"w = v", "\n", *"u"]:
        document, position = document.with_replacement(position, position, key)
        encoded.clear()
        texts.collect(document, (position.line - 10, position.line + 10), [1], None)
        if key not in ("", "\n"):
            assert encoded == []
        elif key:
            assert sum(map(len, encoded)) < 2 * 32 * 6 + 100, "a block at most changes on each side"


def test_what_the_prompt_shows_is_not_at_hand_beside_it() -> None:
    lines = [f"value_{number} = {number}\n" for number in range(300)]
    document = Document.from_text("".join(lines), uri="file:///a.py", language_id="python")
    tokenizer = FAMILIES["qwen-coder"]()
    builder = PromptBuilder(tokenizer, ModelFacts(None, 4096))
    position = Position(150, 6)
    prompt = builder.build(document, position, ON, 8)
    assert prompt.local_text is not None
    ids = np.frombuffer(prompt.local_text.token_ids, np.int32)
    at_hand = "".join(
        tokenizer.decode(piece[piece != TEXT_END]) for piece in np.split(ids, np.flatnonzero(ids == TEXT_END))
    )
    shown = tokenizer.decode(prompt.token_ids)
    assert not [line for line in lines if line in at_hand and line in shown]
    # Text after the cursor whose tokens the window had no room for counts as shown.
    assert sum(line in at_hand or line in shown for line in lines) > 200
    assert sum(line in at_hand for line in lines) > 100


@pytest.mark.parametrize("order", ["psm", "spm"])
def test_the_text_before_the_cursor_precedes_whatever_the_order(order: str) -> None:
    tokenizer = FAMILIES["qwen-coder"]()
    builder = PromptBuilder(tokenizer, ModelFacts(None, 4096), prompt_order=order)
    document = Document.from_text("first = 1\nsecond = fir\nthird = 3\n", uri="file:///a.py", language_id="python")
    prompt = builder.build(document, Position(1, 12), ON, 8)
    assert prompt.local_text is not None
    assert "first = 1\nsecond =".endswith(tokenizer.decode(prompt.local_text.preceding_token_ids))
    assert not set(prompt.local_text.preceding_token_ids) & tokenizer.special_token_ids


@pytest.mark.parametrize(
    ("wish", "is_fitted", "is_used"),
    [("auto", False, False), ("auto", True, True), ("on", False, True), ("off", True, False)],
)
def test_by_default_only_for_models_that_it_was_fitted_to(wish: str, is_fitted: bool, is_used: bool) -> None:
    settings = Settings(context=ContextSettings(local_ngrams=wish))  # type: ignore[arg-type]
    builder = PromptBuilder(FAMILIES["spm"](), ModelFacts(None, 4096, has_local_ngrams=is_fitted))
    document = Document.from_text("x = 1\ny\n", uri="file:///a.py", language_id="python")
    assert builder.uses_local_text(settings) is is_used
    assert (builder.build(document, Position(1, 1), settings, 8).local_text is not None) is is_used
