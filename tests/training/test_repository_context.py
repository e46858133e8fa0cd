"""Snippets in training examples are those that the server shows, and depend on nothing but the place."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from completion_server.config import ContextSettings, Settings
from completion_server.context.files import language_of
from completion_server.evaluation.fim_spans import Span, SpanKind, cut_hole, pick_span
from completion_server.evaluation.held_out import SourceFile
from completion_server.prompt.build import ModelFacts, PromptBuilder
from completion_server.prompt.fim import detect_fim_format
from completion_server.request import WorkspaceView
from completion_server.snippet import SnippetKind
from completion_server.tokenizer import Tokenizer
from completion_server.training.example_stream import ExampleStream
from completion_server.training.fim_transform import FimRates, FimTransform
from completion_server.training.named_elsewhere import names_of_other_files, pick_hole_named_elsewhere
from completion_server.training.repository_context import ContextLimits, RepositoryContext
from tests.support.tiny_tokenizers import qwen, spm, starcoder2
from tests.support.workspaces import settled_collector, write_files
from tests.training.conftest import LargestWindows

SHAPES = '''class Rectangle:
    """Four sides."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width

    def surface_of(self, unit: str = "mm") -> float:
        """How large it is."""
        return self.width


def unfold_paper(sheet: str, times: int = 1) -> list[str]:
    """As often as asked for."""
    return [sheet] * times
'''
MAIN = """import os
from box.shapes import Rectangle, unfold_paper


def report(path: str) -> float:
    shape = Rectangle(3, 4)
    total = shape.surface_of("cm")
    for name in os.listdir(path):
        total += len(unfold_paper(name, times=2))
    return total


def other(count: int) -> int:
    return count + 1
"""
SIBLING = MAIN.replace("report", "another").replace("total", "amount")
GO_KIND = (
    "package box\n\n// KindOf says what it is.\nfunc KindOf(name string, depth int) string {\n\treturn name\n}\n"
)
GO_MAIN = (
    'package box\n\nfunc Main() string {\n\tkind := KindOf("paper", 3)\n\treturn kind\n}\n'
    'func Other() string {\n\tkind := KindOf("sheet", 4)\n\treturn kind\n}\n'
)
TEXTS = {
    "src/box/shapes.py": SHAPES,
    "src/box/main.py": MAIN,
    "src/box/sibling.py": SIBLING,
    "go/kind.go": GO_KIND,
    "go/main.go": GO_MAIN,
    "README.md": "# Boxes\n\nof paper\n",
    "build/made.py": "made = 1\n",
}


def files_of(repository: str, texts: dict[str, str] = TEXTS) -> list[SourceFile]:
    return [SourceFile(repository, path, (language_of(path) or "markdown"), text) for path, text in texts.items()]


def find(files: list[SourceFile], path: str) -> SourceFile:
    return next(file for file in files if file.path == path)


@pytest.mark.parametrize("make_tokenizer", [spm, qwen, starcoder2])
def test_an_example_with_snippets_begins_as_serving_asks(tmp_path: Path, make_tokenizer: object) -> None:
    """Comments in the format of the model in the box, the family's own tokens elsewhere; files on disk and not."""
    tokenizer: Tokenizer = make_tokenizer()  # type: ignore[operator]
    root = write_files(tmp_path / "boxes", TEXTS)
    files = files_of("wheel:boxes")
    repositories = RepositoryContext(files)
    detected = detect_fim_format(tokenizer).format
    rates = FimRates(
        joint=1.0, no_suffix=0.0, short_suffix=0.0, max_tokens=6000, max_suffix_tokens=512, snippets=1.0,
        max_snippet_tokens=700,
    )  # fmt: skip
    transform = FimTransform(tokenizer, detected, rates, repositories)
    builder = PromptBuilder(tokenizer, ModelFacts("llama", 16_384), prompt_order="spm")
    context = ContextSettings(
        cross_file="on", max_prompt_tokens=6000, max_suffix_tokens=512, max_snippet_tokens=700
    )
    settings = Settings(context=context)
    assert builder.shows_snippets(settings)
    num_shown = 0
    for path in ("src/box/main.py", "src/box/sibling.py", "src/box/shapes.py", "go/main.go"):
        for number in range(12):
            file, rng = find(files, path), random.Random(number)
            span = pick_span(file.text, file.language, SpanKind.REST_OF_LINE, rng)
            assert span is not None
            served = cut_hole(file.text, span, uri=(root / path).as_uri(), language_id=language_of(path) or "")
            view = WorkspaceView((), root.as_uri())
            shown = settled_collector(root).collect(served.document, served.position, view, 700)
            hole = repositories.hole(file, span)
            learned = repositories.snippets(file, hole, 700)
            assert learned == shown
            prompt = builder.build(served.document, served.position, settings, 64, context=shown)
            example = transform.infill(hole, LargestWindows(), learned)
            assert example is not None
            assert example.token_ids[: len(prompt.token_ids)] == prompt.token_ids
            first = example.weights.index(rates.prefix_weight)
            assert sum(prompt.snippet_sizes) <= first
            num_shown += any(prompt.snippet_sizes)
    assert num_shown > 20


def test_snippets_are_of_the_same_repository_and_never_of_the_file_itself() -> None:
    files = [
        *files_of("a"),
        *files_of("b", {**TEXTS, "src/box/shapes.py": SHAPES.replace("surface", "b_surface")}),
    ]
    repositories = RepositoryContext(files)
    seen = set()
    for file in files:
        for number in range(6):
            span = pick_span(file.text, file.language, SpanKind.WHOLE_LINE, random.Random(number))
            if span is None:
                continue
            context = repositories.snippets(file, repositories.hole(file, span), 300)
            text = "".join(snippet.text for snippet in context.snippets)
            assert file.path not in {snippet.path for snippet in context.snippets}
            assert "made = 1" not in text
            assert "b_surface" not in text or file.repository == "b"
            seen |= {file.repository} if "surface_of" in text else set()
            seen |= {snippet.kind for snippet in context.snippets}
    assert seen == {"a", "b", SnippetKind.DEFINITION, SnippetKind.SIMILAR}


def test_an_example_does_not_depend_on_those_before_nor_on_what_is_remembered() -> None:
    """The first example, the last, and one with caches that hold next to nothing are equal."""
    files = [*files_of("a"), *files_of("b", {path: text.replace("total", "sum") for path, text in TEXTS.items()})]
    rates = FimRates(snippets=0.8, named_elsewhere=0.5, plain=0.1)

    def stream(limits: ContextLimits | None = None) -> ExampleStream:
        tokenizer = spm()
        transform = FimTransform(
            tokenizer, detect_fim_format(tokenizer).format, rates, RepositoryContext(files, limits)
        )
        return ExampleStream(files, transform, seed=3, language_shares={"python": 1.0, "go": 1.0})

    in_turn = stream().examples(0, 60)
    assert in_turn[40:] == stream().examples(40, 20)
    assert in_turn == stream(ContextLimits(max_repositories=1, max_sources=1)).examples(0, 60)
    assert in_turn[::-1] == [stream().example(number) for number in range(59, -1, -1)]


def test_a_hole_needs_a_name_of_a_snippet() -> None:
    files = files_of("a")
    repositories = RepositoryContext(files)
    middles = set()
    for path in ("src/box/main.py", "go/main.go"):
        for number in range(40):
            file = find(files, path)
            found = pick_hole_named_elsewhere(file, repositories, 300, random.Random(number))
            assert found is not None
            hole, context = found
            text = "".join(snippet.text for snippet in context.snippets)
            line = hole.document.line_prefix(hole.position) + hole.middle
            used = [name for name in ("Rectangle", "surface_of", "unfold_paper", "KindOf") if name in line]
            assert any(name in text for name in used)
            middles.add(hole.middle)
    assert 'surface_of("cm")' in middles
    assert 'total = shape.surface_of("cm")' in middles
    assert 'KindOf("paper", 3)' in middles
    assert any(middle.startswith(("urface_of", "rface_of", "face_of")) for middle in middles)
    assert pick_hole_named_elsewhere(find(files, "src/box/shapes.py"), repositories, 300, random.Random(0)) is None
    assert pick_hole_named_elsewhere(find(files, "README.md"), repositories, 300, random.Random(0)) is None


def test_names_of_other_files_are_definitions_and_members() -> None:
    index = RepositoryContext(files_of("a")).index_of("a")
    source = index.get("src/box/main.py")
    assert source is not None
    assert {"Rectangle", "surface_of", "unfold_paper"} <= names_of_other_files(source, index)
    assert names_of_other_files(source, index).isdisjoint({"report", "os", "listdir", "KindOf"})


def test_files_beyond_the_limit_are_not_known() -> None:
    index = RepositoryContext(files_of("a"), ContextLimits(max_files=1)).index_of("a")
    assert index.num_files == 1
    assert index.has_file("go/kind.go")
    assert index.get("go/main.go") is None


def test_shares_of_snippets() -> None:
    """None by default, and none for plain text; a run of before there were any knows its recipe."""
    files = files_of("a")
    tokenizer = spm()
    fim_format = detect_fim_format(tokenizer).format
    file, leader = find(files, "src/box/main.py"), "# src/box/"

    def num_with_snippets(**rates: float) -> int:
        made = FimRates(no_middle=0.0, **rates)  # type: ignore[arg-type]
        transform = FimTransform(tokenizer, fim_format, made, RepositoryContext(files))
        found = (transform.example(file, random.Random(number)) for number in range(80))
        return sum(tokenizer.decode(each.token_ids).startswith(leader) for each in found if each is not None)

    assert num_with_snippets() == 0
    assert num_with_snippets(snippets=1.0, plain=1.0) == 0
    assert 20 < num_with_snippets(snippets=0.5, plain=0.0) < num_with_snippets(snippets=1.0, plain=0.0)
    assert repr(FimRates()) == repr(FimRates(snippets=0.5, named_elsewhere=0.5))
    assert "snippets" not in repr(FimRates())
    assert FimRates().later_recipe == ""
    assert FimRates(snippets=0.5).later_recipe != FimRates(snippets=0.5, named_elsewhere=0.5).later_recipe


def test_a_name_that_is_defined_here_is_not_looked_for() -> None:
    texts = {**TEXTS, "src/box/main.py": MAIN + "\n\ndef unfold_paper(name, times):\n    return name\n"}
    index = RepositoryContext(files_of("a", texts)).index_of("a")
    source = index.get("src/box/main.py")
    assert source is not None
    assert "unfold_paper" not in names_of_other_files(source, index)


def test_a_hole_in_a_file_of_no_language_is_shown_nothing() -> None:
    files = files_of("a")
    file, repositories = find(files, "README.md"), RepositoryContext(files)
    hole = repositories.hole(file, Span(SpanKind.REST_OF_LINE, 4, 7))
    assert repositories.snippets(file, hole, 300).snippets == ()
