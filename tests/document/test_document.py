from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from completion_server.document import (
    LONG_LINE_CHARS,
    Document,
    LineBuffer,
    Position,
    PositionEncoding,
    column_from_units,
    column_in_line,
    line_body,
    short_lines,
    split_lines,
    units_from_column,
)
from tests.document.strategies import Edit, edits, encodings, model_edit, model_lines, places, texts, units


def apply(buffer: LineBuffer, edit: Edit, encoding: PositionEncoding) -> None:
    start = buffer.position_from_client(*edit.start, encoding)
    end = buffer.position_from_client(*edit.end, encoding)
    buffer.replace(start, end, edit.text)


@given(texts)
def test_lines_are_those_of_lsp(text: str) -> None:
    assert split_lines(text) == model_lines(text)
    assert LineBuffer(text).text == text


@settings(max_examples=2000)
@given(texts, st.lists(edits, max_size=6), encodings)
@example("a\r\nb", [Edit((0, 1), (0, 1), "\r")], PositionEncoding.UTF16)
@example("a\rb", [Edit((1, 0), (1, 0), "\n")], PositionEncoding.UTF16)  # "\r" and "\n" meet: one line end
@example("a\rx\nb", [Edit((1, 0), (1, 1), "")], PositionEncoding.UTF16)  # they meet because what lay between goes
@example("a\r\nb", [Edit((0, 1), (1, 0), "")], PositionEncoding.UTF16)
@example("\f\nx", [Edit((1, 0), (1, 0), "y")], PositionEncoding.UTF16)
@example("a\u2028b\nc", [Edit((1, 0), (1, 0), "y")], PositionEncoding.UTF8)
@example("😋x\n", [Edit((0, 2), (0, 3), "y"), Edit((0, 1), (0, 2), "")], PositionEncoding.UTF16)
@example("abc\n", [Edit((9, 9), (0, 1), "")], PositionEncoding.UTF32)  # reversed, and past the end
def test_any_session_leaves_the_text_a_string_would_have(
    text: str, session: list[Edit], encoding: PositionEncoding
) -> None:
    buffer = LineBuffer(text)
    for edit in session:
        apply(buffer, edit, encoding)
        text = model_edit(text, edit, encoding)
        assert buffer.text == text
        assert list(buffer.snapshot_lines()) == model_lines(text)


@given(texts, places, encodings)
def test_positions_are_clamped_and_come_back(
    text: str, place: tuple[int, int], encoding: PositionEncoding
) -> None:
    buffer = LineBuffer(text)
    position = buffer.position_from_client(*place, encoding)
    document = Document.from_text(text)
    assert document.clamp(position) == position
    body = line_body(document.lines[position.line])
    character = units_from_column(body, position.column, encoding)
    assert character == units(body[: position.column], encoding)
    assert column_from_units(body, character, encoding) == position.column
    assert character <= place[1] or place[0] >= buffer.num_lines


@given(texts, places)
def test_what_lies_before_and_after_a_position_is_the_whole_text(text: str, place: tuple[int, int]) -> None:
    document = Document.from_text(text)
    position = document.clamp(Position(*place))
    assert document.text_before(position) + document.text_after(position) == text
    assert document.text_before(position).endswith(document.line_prefix(position))
    rest = document.text_after(position)
    assert model_lines(rest)[0].rstrip("\r\n") == document.line_suffix(position)


@given(texts)
def test_text_of_some_lines_only(text: str) -> None:
    document = Document.from_text(text)
    middle = Position(len(document.lines) // 2, 0)
    assert document.text_before(middle, middle.line) == ""
    assert document.text_after(middle, middle.line + 1) == document.lines[middle.line]


def test_clamp_below_zero_is_the_start() -> None:
    assert Document.from_text("a\nb").clamp(Position(-1, -1)) == Position(0, 0)


def test_a_snapshot_does_not_change_with_the_buffer() -> None:
    buffer = LineBuffer("a\nb\n")
    before = buffer.snapshot_lines()
    buffer.replace(Position(0, 0), Position(1, 1), "x")
    assert before == ("a\n", "b\n", "")
    assert buffer.snapshot_lines() == ("x\n", "")


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (PositionEncoding.UTF8, [0, 0, 0, 0, 1]),
        (PositionEncoding.UTF16, [0, 0, 1, 2]),
        (PositionEncoding.UTF32, [0, 1, 2]),
    ],
)
def test_a_position_inside_a_character_moves_back(encoding: PositionEncoding, expected: list[int]) -> None:
    body = "😋x"
    found = [column_from_units(body, character, encoding) for character in range(len(expected))]
    assert found == expected


@pytest.mark.parametrize("encoding", list(PositionEncoding))
@pytest.mark.parametrize("char", ["a", "é", "本", "😀", "\ud800", "a😀\udc00é"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_columns_of_a_very_long_line(encoding: PositionEncoding, char: str, share: float) -> None:
    line = char * 200_000
    column = int(len(line) * share)
    units = sum(units_from_column(each, 1, encoding) for each in char) * (column // len(char))
    column -= column % len(char)
    assert units_from_column(line, column, encoding) == units
    assert column_from_units(line, units, encoding) == column
    assert column_in_line(line + "\r\n", units, encoding) == column
    assert column_in_line(line + "\n", 10 * len(line), encoding) == len(line)


@pytest.mark.parametrize(
    "text", ["", "\n", "a", "a\nb", "a\r\nb\r\n", "a\rb\n\r", "\n\n", "\x0b\u2028\n", "\r\n\r"]
)
def test_lines_are_split_at_their_ends_only(text: str) -> None:
    lines = split_lines(text)
    assert "".join(lines) == text
    assert lines == [*re.findall(r"[^\r\n]*(?:\r\n|\r|\n)", text), re.split(r"\r\n|\r|\n", text)[-1]]


def test_lines_that_are_long_are_empty_but_for_their_ends() -> None:
    long = "x" * (LONG_LINE_CHARS + 1)
    assert short_lines(["a\n", f"{long}\n", f"{long}\r\n", long]) == ["a\n", "\n", "\r\n", ""]
