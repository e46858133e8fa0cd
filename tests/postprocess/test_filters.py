"""Each filter alone: text as generated -> text as shown, at a marked place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from completion_server.postprocess.partial import cut_to_clean_end
from completion_server.postprocess.pipeline import FILTERS, postprocess
from completion_server.postprocess.place import Place
from completion_server.postprocess.repetition import cut_repeated_lines, drop_repeated_line_above
from completion_server.postprocess.suffix_overlap import drop_lines_that_follow, drop_rest_of_line
from completion_server.postprocess.whitespace import drop_blank, drop_trailing_white_space, match_line_ends
from tests.support.marked import parse_marked


def place_at(marked: str, *, is_partial: bool = False) -> Place:
    return Place.of(*parse_marked(marked), is_partial=is_partial, is_single_line=False)


CASES: list[tuple[Callable[[str, Place], str], str, str, str]] = [
    (drop_rest_of_line, "print(ˇ)", "x)", "x"),
    (drop_rest_of_line, "print(ˇ)", "len(x))", "len(x)"),
    (drop_rest_of_line, "print(ˇ)", "len(x)", "len(x)"),  # closes what it opened: the rest still closes print
    (drop_rest_of_line, "a = [f(ˇ)]", "x)]", "x"),
    (drop_rest_of_line, "a = [f(ˇ)]", "x)", "x"),
    (drop_rest_of_line, "s = 'ˇ'", "abc'", "abc"),
    (drop_rest_of_line, "x = ˇ if a else b", "1 if a else b", "1 "),
    (drop_rest_of_line, "foo(ˇ) + 1", "a) + 1", "a"),
    (drop_rest_of_line, "x = ˇ", "foo()", "foo()"),
    (drop_lines_that_follow, "aˇ\nreturn x\n", "b\nreturn x\ny", "b"),
    (drop_lines_that_follow, "retˇ\nreturn x\n", "urn x", ""),  # completes to the line that follows
    (drop_lines_that_follow, "f() {ˇ\n}\n", "\n  a\n}", "\n  a"),
    (drop_lines_that_follow, "f() {ˇ\n}\n", "\n  if (b) {\n  }\n  c", "\n  if (b) {\n  }\n  c"),
    (drop_lines_that_follow, "aˇ\n\n\nlast = 1\n", "b\nlast = 1", "b"),
    (drop_repeated_line_above, "x = compute(1)\nx = compˇ\n", "ute(1)", ""),
    (drop_repeated_line_above, "x = compute(1)\ny = compˇ\n", "ute(1)", "ute(1)"),
    (drop_repeated_line_above, "end\nˇ\n", "end", "end"),  # short lines come twice in honest code
    (cut_repeated_lines, "ˇ", "a = 1\na = 1\na = 1\na = 1", "a = 1\na = 1"),
    (cut_repeated_lines, "ˇ", "a\n\n\n\nb", "a\n\n\n\nb"),
    (drop_trailing_white_space, "x = ˇ", "1  ", "1"),
    (drop_trailing_white_space, "x = ˇif a", "1 ", "1 "),
    (drop_trailing_white_space, "x = ˇ if a", "1 ", "1"),
    (drop_trailing_white_space, "x = ˇ", "1\n\n", "1"),
    (drop_blank, "ˇ", "\n    ", ""),
    (drop_blank, "ˇ", " a", " a"),
    (match_line_ends, "a\r\nˇ\r\n", "x\ny", "x\r\ny"),
    (match_line_ends, "a\r\nˇ", "x\ny", "x\r\ny"),
    (match_line_ends, "a\nˇ", "x\r\ny", "x\ny"),
    (match_line_ends, "ˇ", "x\ny", "x\ny"),
]


@pytest.mark.parametrize(("apply", "marked", "text", "expected"), CASES)
def test_filter(apply: Callable[[str, Place], str], marked: str, text: str, expected: str) -> None:
    assert apply(text, place_at(marked)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("self.conf", "self."), ("foo(", "foo("), ("a = 1\nb = lon", "a = 1"), ("conf", ""), ("\n    x", "\n    ")],
)
def test_a_partial_text_ends_at_a_clean_place(text: str, expected: str) -> None:
    assert cut_to_clean_end(text, place_at("ˇ", is_partial=True)) == expected
    assert cut_to_clean_end(text, place_at("ˇ")) == text


def test_every_filter_has_a_case_here() -> None:
    covered = {case[0] for case in CASES} | {cut_to_clean_end}
    assert covered == set(FILTERS)


def test_pipeline_names_the_filters_that_fired() -> None:
    processed = postprocess("x)  ", place_at("print(ˇ)"))
    assert processed.text == "x"
    assert "drop_rest_of_line" in processed.fired


@pytest.mark.parametrize("text", ["", " ", "\n", "\n\n   \n"])
def test_nothing_worth_showing_is_nothing(text: str) -> None:
    assert postprocess(text, place_at("x = ˇ")).text == ""
