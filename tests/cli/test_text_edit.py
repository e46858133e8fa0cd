from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from completion_server.cli.text_edit import TextEdit, edit_between, position_of
from completion_server.document import LineBuffer, Position

texts = st.text(alphabet="ab\n\r\t ü🎉", max_size=40)


@given(texts, texts)
def test_the_edit_turns_old_into_new(old: str, new: str) -> None:
    edit = edit_between(old, new)
    buffer = LineBuffer(old)
    if edit is not None:
        buffer.replace(edit.start, edit.end, edit.text)
    assert buffer.text == new


@given(texts, st.integers(0, 40), texts)
def test_a_small_edit_of_a_long_text_is_small(text: str, offset: int, inserted: str) -> None:
    offset = min(offset, len(text))
    edit = edit_between(text, text[:offset] + inserted + text[offset:])
    assert edit is None or len(edit.text) <= len(inserted) + 2


def test_typing_one_character_is_one_insertion() -> None:
    assert edit_between("ab\ncd", "ab\ncxd") == TextEdit(Position(1, 1), Position(1, 1), "x")
    assert edit_between("same", "same") is None


def test_an_edit_never_splits_a_crlf() -> None:
    edit = edit_between("a\r\nb", "a\r\r\nb")
    assert edit is not None
    assert edit.start == Position(0, 1)


@given(texts)
def test_positions_count_lines_as_the_server_does(text: str) -> None:
    assert position_of(text, len(text)) == Position(
        LineBuffer(text).num_lines - 1, len(LineBuffer(text).snapshot_lines()[-1])
    )
