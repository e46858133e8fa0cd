"""Each filter alone: text as generated -> text as shown, at a marked place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.lexicon import CLOSER_OF, lexicon_of, scan
from completion_server.postprocess.indentation import drop_doubled_indent, match_indentation
from completion_server.postprocess.partial import cut_to_clean_end
from completion_server.postprocess.pipeline import FILTERS, postprocess
from completion_server.postprocess.place import Place
from completion_server.postprocess.repetition import (
    cut_repeated_lines,
    drop_repeated_block_above,
    drop_repeated_line_above,
)
from completion_server.postprocess.suffix_overlap import drop_lines_that_follow, drop_rest_of_line
from completion_server.postprocess.syntax_trim import trim_to_syntax
from completion_server.postprocess.usefulness import drop_useless
from completion_server.postprocess.whitespace import drop_blank, drop_trailing_white_space, match_line_ends
from completion_server.syntax import count_errors
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
    (drop_repeated_block_above, "a = 1\nb = 2\nˇ", "a = 1\nb = 2", ""),
    (drop_repeated_block_above, "a = 1\nb = 2\nˇ", "a = 1\nb = 3", "a = 1\nb = 3"),
    (drop_lines_that_follow, "aˇ\nx = 1\nyy = 2\nzz = 3\n", "b\nyy = 2\nzz = 3", "b"),
    (drop_doubled_indent, "def f():\n    ˇ", "    return 1\n    x", "return 1\n    x"),
    (drop_doubled_indent, "def f():\n    ˇ", "return 1", "return 1"),
    (drop_doubled_indent, "x = ˇ", "    1", "    1"),
    (match_indentation, "if a:\n\tb()\n\tˇ", "c()\n    if d:\n        e()", "c()\n\tif d:\n\t\te()"),
    (match_indentation, "if a:\n  b()\n  ˇ", "c()\n\tif d:\n\t\te()", "c()\n  if d:\n    e()"),
    (match_indentation, "ˇ", "c:\n\td", "c:\n\td"),
    (trim_to_syntax, "x = ˇ\n", "foo(1))", "foo(1)"),
    (trim_to_syntax, "x = ˇ\n", "foo(1", "foo(1"),  # left open: the reader goes on
    (trim_to_syntax, "x = ˇ\n", "1\ny = 2\nz = = 3", "1\ny = 2"),
    (trim_to_syntax, "x = 1\nˇ\n", "y = = 2", ""),
    (trim_to_syntax, "def f(:\n  x\ny = ˇ\n", "2", "2"),  # errors that were there before are not counted
    (drop_useless, "f(ˇ", ")", ""),
    (drop_useless, "f(ˇ", "):", ""),
    (drop_useless, "f(ˇ", "a)", "a)"),
    (drop_useless, "f(ˇ", "_)", "_)"),
    (drop_useless, "ˇ", "# TODO", ""),
    (drop_useless, "ˇ", "// Your code here", ""),
    (drop_useless, "ˇ", "# TODO: the reason", "# TODO: the reason"),
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


SOURCES = ["x = 1\n", "def f(a):\n    return a\n", "for i in range(3):\n    print(i)\n", "x = [1,\n     2]\n"]
PIECES = ["x", " = ", "1", "(", ")", "[", "]", ":", "\n", "    ", "return ", "a", "'", "#", ", ", "def f():", "=="]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@st.composite
def places(draw: st.DrawFn) -> tuple[str, Place]:
    """A valid document in Python, marked, and the place."""
    source = "".join(draw(st.lists(st.sampled_from(SOURCES), min_size=1, max_size=4)))
    at = draw(st.integers(0, len(source)))
    marked = source[:at] + "ˇ" + source[at:]
    return marked, place_at(marked, is_partial=draw(st.booleans()))


@given(places(), TEXTS)
def test_what_is_shown_adds_no_syntax_error(marked: tuple[str, Place], text: str) -> None:
    source, place = marked
    shown = postprocess(text, place).text
    if shown:
        before, _, after = source.partition("ˇ")
        scanner = scan(lexicon_of("python"), place.before_on_line + shown)
        quote = scanner.inside if scanner.inside in lexicon_of("python").strings else ""
        closed = shown + quote + "".join(CLOSER_OF[bracket] for bracket in reversed(scanner.stack))
        counts = [count_errors("python", before + each + after) or 0 for each in (shown, closed)]
        assert min(counts) <= (count_errors("python", before + after) or 0)


@given(places(), TEXTS)
def test_what_is_shown_is_what_the_model_wrote(marked: tuple[str, Place], text: str) -> None:
    """Filters take away, and change white space; they add nothing."""
    shown = "".join(postprocess(text, marked[1]).text.split())
    assert "".join(text.split()).startswith(shown)


@given(places(), TEXTS)
def test_filtering_again_changes_nothing(marked: tuple[str, Place], text: str) -> None:
    place = dataclasses.replace(marked[1], is_partial=False)
    once = postprocess(text, place).text
    assert postprocess(once, place).text == once


@given(places(), TEXTS)
def test_no_line_is_the_line_that_follows(marked: tuple[str, Place], text: str) -> None:
    place = marked[1]
    lines = postprocess(text + "\n" + (place.lines_after or ("x",))[0], place).text.split("\n")
    if place.lines_after and len(place.lines_after[0]) >= 3:
        assert place.lines_after[0] not in [line.strip() for line in lines[1:]]
