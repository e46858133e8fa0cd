"""Laws of all filters together, for whatever a model writes wherever. Each filter alone: the files beside this."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from completion_server.postprocess.pipeline import FILTERS, postprocess
from completion_server.postprocess.place import Place
from completion_server.syntax import count_errors
from tests.support.places import place_at


def test_every_filter_has_a_file_of_cases() -> None:
    files = {path.stem for path in Path(__file__).parent.glob("test_*.py")} - {
        Path(__file__).stem,
        "test_frame",
        "test_balance",
    }
    assert files == {f"test_{each.__name__}" for each in FILTERS}


def test_pipeline_names_the_filters_that_fired() -> None:
    processed = postprocess("x)  ", place_at("print(ˇ)"))
    assert processed.text == "x"
    assert processed.fired == ("drop_closers_that_follow",)
    assert postprocess("x = 1  ", place_at("ˇ")).fired == ("drop_trailing_white_space",)


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
    shown = postprocess(text, place)
    before, _, after = source.partition("ˇ")
    completed = count_errors("python", before + shown.text + after[shown.num_replaced :])
    assert (completed or 0) <= (count_errors("python", before + after) or 0)


@given(places(), TEXTS)
def test_what_is_shown_is_what_the_model_wrote(marked: tuple[str, Place], text: str) -> None:
    """Filters take away, change white space, and close what is open at the end; they add nothing else."""
    shown = "".join(postprocess(text, marked[1]).text.split())
    added = shown[len(os.path.commonprefix([shown, "".join(text.split())])) :]  # noqa: RUF071 - characters
    assert not added.strip(")]}'\"")


@given(places(), TEXTS)
def test_what_is_replaced_is_part_of_the_text(marked: tuple[str, Place], text: str) -> None:
    """VS Code shows no other items that replace something."""
    shown = postprocess(text, marked[1])
    replaced = marked[1].after_on_line[: shown.num_replaced]
    rest = iter(shown.text)
    assert all(char in rest for char in replaced)
    assert not replaced.strip(")]}'\"")


TAKEN_OFF_ONCE = {"drop_doubled_indent", "drop_rest_of_line"}
"""What a text may repeat: white space before the cursor, `11` before a `1`."""


@given(places(), TEXTS)
@example(("x =ˇ 1\n", place_at("x =ˇ 1\n")), "x = , ")
def test_filtering_again_changes_nothing_but_what_is_taken_off_once(marked: tuple[str, Place], text: str) -> None:
    place = dataclasses.replace(marked[1], is_partial=False)
    once = postprocess(text, place).text
    again = postprocess(once, place)
    assert again.text == once or (again.fired[0] in TAKEN_OFF_ONCE and len(again.text) < len(once))


@given(places(), TEXTS)
def test_no_line_is_the_line_that_follows(marked: tuple[str, Place], text: str) -> None:
    place = marked[1]
    lines = postprocess(text + "\n" + (place.lines_after or ("x",))[0], place).text.split("\n")
    if place.lines_after and len(place.lines_after[0]) >= 3:
        assert place.lines_after[0] not in [line.strip() for line in lines[1:]]
