"""The plugin's own client against a server inside of Neovim that answers when, and what, the test says."""

from __future__ import annotations

import pytest

from tests.editors.neovim_scripted import SCRIPTED, answer, start_scripted, wait_for_request
from tests.editors.neovim_session import NeovimSession


def test_one_request_for_keys_that_come_at_once_and_it_is_automatic(neovim: NeovimSession) -> None:
    start_scripted(neovim, "\n")
    neovim.type("i")
    wait_for_request(neovim)
    neovim.type("x = 1 + 2 + ")
    params = wait_for_request(neovim)
    assert params["context"] == {"triggerKind": 2}
    assert params["position"] == {"line": 0, "character": 12}
    assert neovim.lua(f"return #{SCRIPTED}.requests") == 2
    neovim.type("<M-]>")
    assert wait_for_request(neovim)["context"] == {"triggerKind": 1}
    assert neovim.lua(f"return {SCRIPTED}.num_open()") == 1


def test_what_is_superseded_is_cancelled_first_and_its_reply_is_not_shown(neovim: NeovimSession) -> None:
    start_scripted(neovim, "\n")
    for key in "iabcd":
        neovim.type(key)
        wait_for_request(neovim)
    assert len(neovim.lua(f"return {SCRIPTED}.cancelled")) == 4
    assert neovim.lua(f"return {SCRIPTED}.num_open()") == 1
    answer(neovim, "stale", index=4)
    answer(neovim, "fresh", index=5)
    neovim.wait_for_ghost("fresh")
    sent = neovim.lua(f"return {SCRIPTED}.notifications")
    assert sent.index("$/cancelRequest") < sent.index("textDocument/didChange")


def test_a_reply_after_the_mode_was_left_shows_nothing(neovim: NeovimSession) -> None:
    start_scripted(neovim, "\n")
    neovim.type("ia")
    wait_for_request(neovim)
    neovim.type("<Esc>")
    answer(neovim, "late")
    neovim.settle()
    assert neovim.ghost() is None


def test_an_empty_reply_leaves_what_the_user_types_along(neovim: NeovimSession) -> None:
    start_scripted(neovim, "\n")
    neovim.type("ia")
    wait_for_request(neovim)
    answer(neovim, "bcd")
    neovim.wait_for_ghost("bcd")
    neovim.type("b")
    wait_for_request(neovim)
    answer(neovim)
    neovim.settle()
    assert neovim.ghost() == "cd"
    neovim.type("c")
    wait_for_request(neovim)
    answer(neovim, "xyz")
    neovim.settle()
    assert neovim.ghost() == "d"
    neovim.type("<C-]>x")
    wait_for_request(neovim)


def test_a_longer_reply_takes_the_place_of_what_is_typed_along(neovim: NeovimSession) -> None:
    start_scripted(neovim, "\n")
    neovim.type("ia")
    wait_for_request(neovim)
    answer(neovim, "bcd")
    neovim.wait_for_ghost("bcd")
    neovim.type("b")
    wait_for_request(neovim)
    answer(neovim, "cd\n\tefg")
    neovim.wait_for_ghost("cd\n    efg")


def test_several_lines_are_shown_and_accepted_line_by_line(neovim: NeovimSession) -> None:
    start_scripted(neovim, "above\n\nbelow\n")
    neovim.type("jif():")
    wait_for_request(neovim)
    answer(neovim, " # é\n    one()\n\n    two()")
    neovim.wait_for_ghost(" # é\n    one()\n\n    two()")
    screen = neovim.look()
    assert [screen.text(row) for row in range(6)] == ["above", "f(): # é", "    one()", "", "    two()", "below"]
    neovim.type("<M-Down>")
    assert neovim.lines() == ["above", "f(): # é", "below"]
    assert neovim.ghost() == "\n    one()\n\n    two()"
    neovim.type("<M-Down>")
    assert neovim.lines() == ["above", "f(): # é", "    one()", "below"]
    assert neovim.cursor() == (3, len("    one()"))
    neovim.type("<Tab>")
    assert neovim.lines() == ["above", "f(): # é", "    one()", "", "    two()", "below"]
    assert neovim.cursor() == (5, len("    two()"))


def test_typing_a_line_break_along(neovim: NeovimSession) -> None:
    start_scripted(neovim, "\n")
    neovim.type("ia")
    wait_for_request(neovim)
    answer(neovim, "\nb = 1")
    neovim.wait_for_ghost("\nb = 1")
    neovim.type("<CR>")
    assert neovim.ghost() == "b = 1"
    neovim.type("<Tab>")
    assert neovim.lines() == ["a", "b = 1"]


def test_a_range_before_the_cursor_is_honoured(neovim: NeovimSession) -> None:
    start_scripted(neovim, "\n")
    neovim.type("ix = pri")
    wait_for_request(neovim)
    answer(neovim, "print(1)", left=3)
    neovim.wait_for_ghost("nt(1)")
    neovim.type("n<Tab>")
    assert neovim.lines() == ["x = print(1)"]


def test_a_range_whose_text_is_something_else_shows_nothing(neovim: NeovimSession) -> None:
    start_scripted(neovim, "\n")
    neovim.type("ix = abc")
    wait_for_request(neovim)
    answer(neovim, "print(1)", left=3)
    neovim.settle()
    assert neovim.ghost() is None


@pytest.mark.parametrize(("text", "ghost"), [("(a, b)", "(a, b"), ("(a) + 1", "(a) + 1")])
def test_a_range_after_the_cursor_is_replaced(neovim: NeovimSession, text: str, ghost: str) -> None:
    start_scripted(neovim, "f) # end\n")
    neovim.type("a")
    wait_for_request(neovim)
    answer(neovim, text, right=1)
    neovim.wait_for_ghost(ghost)
    neovim.type("(")
    assert neovim.ghost() == ghost[1:]
    neovim.type("<Tab>")
    assert neovim.lines() == [f"f{text} # end"]
    assert neovim.cursor() == (1, len(f"f{text}"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_characters_of_several_bytes(neovim: NeovimSession, encoding: str) -> None:
    start_scripted(neovim, 'x = "é😀" + ; y = "😀é"\n', encoding)
    neovim.type("f;i")
    params = wait_for_request(neovim)
    before = 'x = "é😀" + '
    sizes = {"utf-8": len(before.encode()), "utf-16": len(before) + 1, "utf-32": len(before)}
    assert params["position"] == {"line": 0, "character": sizes[encoding]}
    width = {"utf-8": 5, "utf-16": 3, "utf-32": 2}[encoding]
    neovim.type("é😀")
    wait_for_request(neovim)
    answer(neovim, "é😀ü()", left=width + (encoding == "utf-8"))
    neovim.wait_for_ghost("ü()")
    neovim.type("ü<Tab>")
    assert neovim.lines() == ['x = "é😀" + é😀ü(); y = "😀é"']


def test_tabs_take_the_place_that_they_take_in_the_text(neovim: NeovimSession) -> None:
    start_scripted(neovim, "\n", name="a.go")
    neovim.command("set tabstop=4 noexpandtab")
    neovim.type("i<C-v><Tab>é")
    wait_for_request(neovim)
    answer(neovim, "\tx\n\t\ty")
    neovim.wait_for_ghost("   x\n        y")
    before = [neovim.look().text(row) for row in range(2)]
    neovim.type("<Tab>")
    assert neovim.lines() == ["\té\tx", "\t\ty"]
    assert [neovim.look().text(row) for row in range(2)] == before


def test_a_file_with_crlf_keeps_it(neovim: NeovimSession) -> None:
    start_scripted(neovim, "one\r\ntwo\r\n")
    assert neovim.lua("return vim.bo.fileformat") == "dos"
    neovim.type("A = ")
    wait_for_request(neovim)
    answer(neovim, "1\r\nand = 2")
    neovim.wait_for_ghost("1\nand = 2")
    neovim.type("<Tab><Esc>")
    assert neovim.lines() == ["one = 1", "and = 2", "two"]
    neovim.command("write")
    assert (neovim.home / "a.py").read_bytes() == b"one = 1\r\nand = 2\r\ntwo\r\n"


def test_nothing_is_shown_beside_the_completion_menu(neovim: NeovimSession) -> None:
    start_scripted(neovim, "alpha alps\n\n")
    neovim.type("jial")
    wait_for_request(neovim)
    answer(neovim, "gebra")
    neovim.wait_for_ghost("gebra")
    neovim.press("<C-n>")
    neovim.wait("vim.fn.pumvisible() == 1")
    neovim.wait_for_no_ghost()
    neovim.type("<C-e>")
