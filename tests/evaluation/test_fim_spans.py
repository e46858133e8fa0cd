"""Holes: what is cut out is what was there, and each kind has its shape."""

from __future__ import annotations

import random

import pytest

from completion_server.evaluation.fim_blocks import find_blocks
from completion_server.evaluation.fim_spans import SpanKind, cut_hole, pick_span

PYTHON = """\
import os


class Naïve:
    def area(self, width, height):
        if width < 0:
            raise ValueError("no")
        return width * height

    def name(self):
        return os.path.join("a", "b")
"""
GO = """\
package main

func add(a int, b int) int {
	if a > b {
		return a
	}
	return a + b
}
"""


@pytest.mark.parametrize("kind", list(SpanKind))
@pytest.mark.parametrize(("text", "language"), [(PYTHON, "python"), (GO, "go")])
def test_the_parts_of_a_hole_make_the_text(kind: SpanKind, text: str, language: str) -> None:
    rng = random.Random(0)
    spans = [span for _ in range(50) if (span := pick_span(text, language, kind, rng)) is not None]
    assert spans
    for span in spans:
        hole = cut_hole(text, span)
        before = hole.document.text_before(hole.position)
        assert before + hole.middle + hole.document.text_after(hole.position) == text
        assert hole.middle.strip()


def test_the_rest_of_a_line_ends_with_it_or_before_its_closers() -> None:
    rng = random.Random(1)
    for _ in range(200):
        span = pick_span(PYTHON, "python", SpanKind.REST_OF_LINE, rng)
        assert span is not None
        after = PYTHON[span.end :].split("\n", 1)[0]
        assert "\n" not in PYTHON[span.start : span.end]
        assert set(after) <= set(")]}>\"'`;,:")


def test_cursors_stand_inside_words_too() -> None:
    rng = random.Random(2)
    starts = [pick_span(PYTHON, "python", SpanKind.REST_OF_LINE, rng) for _ in range(200)]
    inside = [
        span for span in starts if span and PYTHON[span.start - 1].isalnum() and PYTHON[span.start].isalnum()
    ]
    assert len(inside) > 20


def test_whole_lines_begin_after_their_indentation_or_on_the_line_before() -> None:
    rng = random.Random(3)
    for _ in range(200):
        span = pick_span(PYTHON, "python", SpanKind.WHOLE_LINE, rng)
        assert span is not None
        line = PYTHON[: span.start].rsplit("\n", 1)[-1]
        assert not line.strip() or PYTHON[span.start] == "\n"
        assert PYTHON[span.end] == "\n"


def test_blocks_by_syntax_tree() -> None:
    pytest.importorskip("tree_sitter_language_pack")
    blocks = {PYTHON[start:end] for start, end in find_blocks(PYTHON, "python")}
    assert 'raise ValueError("no")' in blocks
    assert 'return os.path.join("a", "b")' in blocks
    assert any(block.startswith("def area") and block.endswith('"b")') for block in blocks)
    assert {GO[start:end] for start, end in find_blocks(GO, "go")} == {
        "return a",
        "if a > b {\n\t\treturn a\n\t}\n\treturn a + b",
    }


def test_blocks_by_indentation_where_there_is_no_grammar() -> None:
    text = "# list\n\n* one\n  two\n  three\n* four\n"
    assert [text[start:end] for start, end in find_blocks(text, "markdown")] == ["two\n  three"]


def test_nothing_can_be_cut_from_a_text_without_lines() -> None:
    assert pick_span("\n \n", "python", SpanKind.REST_OF_LINE, random.Random(0)) is None
    assert pick_span("x = 1\n", "python", SpanKind.BLOCK, random.Random(0)) is None
