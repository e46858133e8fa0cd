from __future__ import annotations

from prompt_toolkit.formatted_text.utils import fragment_list_to_text

from completion_server.cli.ghost import GHOST_STYLE, code_with_ghost
from completion_server.cli.ghost_control import GHOST_CLASS, insert_ghost
from completion_server.document import Document, Position


def test_plain_ghost_text_stands_between_marks() -> None:
    document = Document.from_text("one\ntwo()\nthree\n")
    shown = code_with_ghost(document, Position(1, 4), "x\ny", (1, 1), is_plain=True)
    assert shown.plain == "1 one\n2 two(⟦x\n  y⟧)\n3 three"


def test_ghost_text_is_dim_on_a_terminal() -> None:
    shown = code_with_ghost(Document.from_text("ab"), Position(0, 1), "ghost", (1, 1))
    assert shown.plain == "1 aghostb"
    assert [shown.plain[span.start : span.end] for span in shown.spans if span.style == GHOST_STYLE] == ["ghost"]


def test_nothing_in_a_file_steers_the_terminal() -> None:
    shown = code_with_ghost(Document.from_text("a\x1b[31mb\x07"), Position(0, 0), "\x1b]0;x\x07", (1, 1))
    assert "\x1b" not in shown.plain
    assert "\x07" not in shown.plain


def test_the_cursor_stands_on_the_first_character_of_the_ghost_text() -> None:
    shown = code_with_ghost(Document.from_text("ab"), Position(0, 2), "cd", (1, 1), has_cursor=True)
    assert [shown.plain[span.start : span.end] for span in shown.spans if span.style == "reverse"] == ["c"]
    assert code_with_ghost(Document.from_text("ab"), Position(0, 2), "\ncd", (1, 1), has_cursor=True).plain == (
        "1 ab \n  cd"
    )


def test_a_ghost_of_two_lines_moves_the_rest_of_the_line() -> None:
    lines = insert_ghost([("class:code", "f()"), ("", " ")], 2, "a,\n  b")
    assert [fragment_list_to_text(line).rstrip() for line in lines] == ["f(a,", "  b)"]
    assert {fragment[0] for fragment in lines[1]} >= {GHOST_CLASS, "class:code"}
