"""Training examples have serving's layout, and lose nothing of the text."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from completion_server.config import ContextSettings, GenerationSettings, Settings
from completion_server.document import Document
from completion_server.evaluation.fim_spans import Hole, SpanKind, cut_hole, pick_span
from completion_server.evaluation.held_out import SourceFile
from completion_server.prompt.budget import suffix_window
from completion_server.prompt.build import ModelFacts, PromptBuilder
from completion_server.prompt.fim import PREFIX_ONLY, detect_fim_format
from completion_server.prompt.fim_table import QWEN_CODER
from completion_server.tokenizer import Tokenizer
from completion_server.training.error import TrainingError
from completion_server.training.example_stream import ExampleStream
from completion_server.training.fim_transform import Example, FimRates, FimTransform
from tests.support.tiny_tokenizers import qwen
from tests.training.conftest import LargestWindows, make_file


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Tokenizer:
    return Tokenizer.from_directory(tiny_model)


def make_transform(tokenizer: Tokenizer, **rates: object) -> FimTransform:
    values: dict[str, object] = {"plain": 0.0, "no_middle": 0.0}
    return FimTransform(
        tokenizer,
        detect_fim_format(tokenizer).format,
        FimRates(**(values | rates)),  # type: ignore[arg-type]
    )


def examples(transform: FimTransform, count: int = 60) -> list[Example]:
    rng = random.Random(0)
    found = [transform.example(make_file(number % 7), rng) for number in range(count)]
    return [example for example in found if example is not None]


def draw_hole(number: int, kind: SpanKind) -> Hole:
    """One in file ``number``."""
    file = make_file(number)
    span = pick_span(file.text, "python", kind, random.Random(number))
    assert span is not None
    return cut_hole(file.text, span)


def test_an_example_begins_as_serving_asks_and_ends_with_the_middle(tokenizer: Tokenizer) -> None:
    """The server's prompt is a head of the example; healing has taken tokens off the prefix's end."""
    rates = {"joint": 1.0, "no_suffix": 0.0, "short_suffix": 0.0, "max_tokens": 4000, "max_suffix_tokens": 256}
    transform = make_transform(tokenizer, **rates)
    builder = PromptBuilder(tokenizer, ModelFacts("llama", 4096))
    settings = Settings(
        context=ContextSettings(max_prompt_tokens=3000, max_suffix_tokens=256),
        generation=GenerationSettings(),
    )
    num_same = 0
    for number in range(40):
        hole = draw_hole(number, SpanKind.REST_OF_LINE)
        example = transform.infill(hole, LargestWindows())
        prompt = builder.build(hole.document, hole.position, settings, 64)
        assert example is not None
        assert example.token_ids[: len(prompt.token_ids)] == prompt.token_ids
        num_same += prompt.healing is not None
        text = tokenizer.decode(example.token_ids)
        assert hole.middle + "<|fim_end|>" == text[-len(hole.middle) - len("<|fim_end|>") :]
        assert builder.order_name == "spm"
    assert num_same > 10


def test_full_windows_are_those_of_a_served_prompt(tokenizer: Tokenizer) -> None:
    """Whatever is drawn; both are smaller than the file, so as much is left out as serving leaves out."""
    transform = make_transform(tokenizer, joint=1.0, full_windows=1.0, max_tokens=200, max_suffix_tokens=60)
    builder = PromptBuilder(tokenizer, ModelFacts("llama", 4096))
    num_cut = 0
    for number in range(40):
        hole = draw_hole(number, SpanKind.WHOLE_LINE)
        example = transform.infill(hole, random.Random(number))
        assert example is not None
        # A served prompt's sizes are fixed; an example's prefix has what its suffix and middle leave of its size.
        suffix = suffix_window(hole.document, hole.position, 60, tokenizer.encode)
        num_before = 200 - len(suffix.token_ids) - len(tokenizer.encode(hole.middle)) - 4
        context = ContextSettings(max_prompt_tokens=num_before + 60, max_suffix_tokens=60)
        prompt = builder.build(hole.document, hole.position, Settings(context=context), 64)
        assert example.token_ids[: len(prompt.token_ids)] == prompt.token_ids
        num_cut += len(tokenizer.encode(make_file(number).text)) > 220
    assert num_cut > 10


def test_the_share_of_full_windows(tokenizer: Tokenizer) -> None:
    def mean_length(share: float) -> float:
        found = examples(make_transform(tokenizer, full_windows=share, max_tokens=200), 200)
        return sum(len(example.token_ids) for example in found) / len(found)

    assert mean_length(0.0) < mean_length(0.5) < mean_length(1.0)
    assert repr(FimRates()) == repr(FimRates(full_windows=0.5))
    recipes = [FimRates(full_windows=share, snippets=more).later_recipe for share in (0.0, 0.5) for more in (0, 1)]
    assert len(set(recipes)) == len(recipes)


@pytest.mark.parametrize("joint", [0.0, 1.0])
def test_weights_are_of_the_prefix_the_middle_and_its_end(tokenizer: Tokenizer, joint: float) -> None:
    end, middle = tokenizer.token_id("<|fim_end|>"), tokenizer.token_id("<|fim_middle|>")
    assert middle is not None
    for example in examples(make_transform(tokenizer, joint=joint, prefix_weight=0.25)):
        assert len(example.token_ids) == len(example.weights) <= FimRates().max_tokens
        assert example.token_ids[-1] == end
        at = example.token_ids.index(middle)
        assert set(example.weights[: at + 1]) == {0.0}
        assert set(example.weights[at + 1 : example.middle_start]) <= {0.25}
        assert set(example.weights[example.middle_start :]) == {1.0}


def test_apart_and_in_one_piece_spell_the_same(tokenizer: Tokenizer) -> None:
    file = make_file(3)
    for number in range(30):
        span = pick_span(file.text, "python", SpanKind.RANDOM, random.Random(number))
        assert span is not None
        hole = cut_hole(file.text, span)
        texts = {
            tokenizer.decode(example.token_ids)
            for joint in (0.0, 1.0)
            if (example := make_transform(tokenizer, joint=joint).infill(hole, random.Random(5))) is not None
        }
        assert len(texts) <= 1


def test_nothing_missing_is_a_middle_of_its_end_only(tokenizer: Tokenizer) -> None:
    for example in examples(make_transform(tokenizer, no_middle=1.0, joint=0.0)):
        assert example.middle_start == len(example.token_ids) - 1


def test_suffixes_of_all_lengths(tokenizer: Tokenizer) -> None:
    at = tokenizer.token_id("<|fim_middle|>")
    lengths = [example.token_ids.index(at) for example in examples(make_transform(tokenizer), 200)]  # type: ignore[arg-type]
    assert min(lengths) == 1
    assert max(lengths) > 100
    assert sum(length < 50 for length in lengths) > 40


def test_plain_text_has_no_sentinels(tokenizer: Tokenizer) -> None:
    for example in examples(make_transform(tokenizer, plain=1.0)):
        inside = set(example.token_ids[1:])
        assert inside.isdisjoint(tokenizer.special_token_ids)
        assert example.middle_start == len(example.token_ids)


def test_orders_of_a_format_that_has_both() -> None:
    tokenizer = qwen()
    for psm, first in ((1.0, "<|fim_prefix|>"), (0.0, "<|fim_prefix|>")):
        transform = FimTransform(tokenizer, QWEN_CODER, FimRates(plain=0, psm=psm))
        for example in examples(transform, 10):
            assert example.token_ids[0] == tokenizer.token_id(first)
            suffix = example.token_ids.index(tokenizer.token_id("<|fim_suffix|>"))  # type: ignore[arg-type]
            assert (suffix == 1) == (psm == 0.0)


def test_a_format_without_a_suffix_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(TrainingError, match="no fill-in-the-middle format"):
        FimTransform(tokenizer, PREFIX_ONLY, FimRates())


def test_a_stream_gives_each_example_by_its_number(tokenizer: Tokenizer) -> None:
    files = [make_file(number) for number in range(5)]
    stream = ExampleStream(files, make_transform(tokenizer), seed=7)
    assert stream.examples(3, 4) == [stream.example(number) for number in range(3, 7)]
    assert stream.example(0) != ExampleStream(files, make_transform(tokenizer), seed=8).example(0)


def test_languages_come_by_their_shares(tokenizer: Tokenizer) -> None:
    python = [make_file(number) for number in range(3)]
    other = [SourceFile("r", "a.md", "markdown", "# Title\n\nsome words of text here\n" * 9)]
    stream = ExampleStream(python + other, make_transform(tokenizer), 0, {"markdown": 1.0, "python": 0.0})
    assert all("def " not in tokenizer.decode(stream.example(number).token_ids) for number in range(20))
    with pytest.raises(TrainingError, match="no language"):
        ExampleStream(python, make_transform(tokenizer), 0, {"markdown": 1.0})
    with pytest.raises(TrainingError, match="no file"):
        ExampleStream([], make_transform(tokenizer), 0)


def test_files_that_are_too_short_are_an_error_and_not_a_loop(tokenizer: Tokenizer) -> None:
    stream = ExampleStream([SourceFile("r", "a.py", "python", "\n\n \n")], make_transform(tokenizer), 0)
    with pytest.raises(TrainingError, match="no example could be made"):
        stream.example(0)


def test_documents_without_their_middle_are_what_the_windows_see() -> None:
    text = "a = 1\nb = 2\nc = 3\n"
    span = pick_span(text, "python", SpanKind.WHOLE_LINE, random.Random(0))
    assert span is not None
    hole = cut_hole(text, span)
    assert hole.document == Document.from_text(text[: span.start] + text[span.end :])
