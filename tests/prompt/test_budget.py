"""Windows: within the budget, next to the cursor, and still while the user types."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from completion_server.document import Document, Position
from completion_server.prompt.budget import prefix_window, suffix_window
from tests.support.byte_tokenizer import ByteTokenizer

ENCODE = ByteTokenizer().encode
LINES = st.lists(st.text(alphabet="abc def():é😋", max_size=40), max_size=60)


def document_of(lines: list[str]) -> Document:
    return Document.from_text("\n".join(lines))


@given(lines=LINES, line=st.integers(0, 60), column=st.integers(0, 40), budget=st.integers(1, 400))
def test_windows_fit_and_touch_the_cursor(lines: list[str], line: int, column: int, budget: int) -> None:
    document = document_of(lines)
    position = document.clamp(Position(line, column))
    prefix = prefix_window(document, position, budget, ENCODE)
    suffix = suffix_window(document, position, budget, ENCODE)
    assert len(prefix.token_ids) <= budget
    assert len(suffix.token_ids) <= budget
    assert document.text_before(position).endswith(prefix.text)
    assert document.text_after(position).startswith(suffix.text)
    if prefix.is_at_edge:
        assert prefix.text == document.text_before(position)


def test_a_short_document_is_taken_whole() -> None:
    document = document_of(["a = 1", "b = 2", ""])
    prefix = prefix_window(document, Position(1, 2), 100, ENCODE)
    suffix = suffix_window(document, Position(1, 2), 100, ENCODE)
    assert (prefix.text, prefix.is_at_edge) == ("a = 1\nb ", True)
    assert (suffix.text, suffix.is_at_edge) == ("= 2\n", True)


def test_the_start_of_the_prefix_moves_rarely() -> None:
    """Typing 64 lines moves the window's start a few times, not 64 times."""
    starts = set()
    for num_lines in range(200, 264):
        document = document_of([f"value_{number} = compute({number})" for number in range(num_lines)])
        window = prefix_window(document, Position(num_lines - 1, 5), 1024, ENCODE)
        starts.add(window.text.partition("\n")[0])
    assert len(starts) <= 3


def test_the_end_of_the_suffix_stays_while_a_line_grows() -> None:
    lines = [f"value_{number} = compute({number})" for number in range(200)]
    ends = set()
    for column in range(20):
        lines[50] = "x" * column
        window = suffix_window(document_of(lines), Position(50, column), 400, ENCODE)
        ends.add(window.text[-40:])
    assert len(ends) == 1


def test_the_suffix_stays_while_lines_are_typed() -> None:
    """A line end typed at the cursor moves every line below it and changes none of them."""
    below = [f"value_{number} = compute({number})" for number in range(200)]
    windows = set()
    for num_typed in range(40):
        document = document_of(["x = 1"] * 50 + ["y = 2"] * num_typed + [""] + below)
        windows.add(suffix_window(document, Position(50 + num_typed, 0), 400, ENCODE).text)
    assert len(windows) == 1


def test_one_endless_line_is_cut_at_an_anchored_place() -> None:
    starts = set()
    for length in range(100_000, 100_050):
        document = Document.from_text("x" * length)
        window = prefix_window(document, Position(0, length), 256, ENCODE)
        assert 0 < len(window.token_ids) <= 256
        assert not window.is_at_edge
        starts.add(length - len(window.text))
    assert len(starts) <= 2


def test_no_budget_for_a_suffix_is_an_empty_one() -> None:
    assert suffix_window(document_of(["a", "b"]), Position(0, 0), 0, ENCODE).token_ids == []
