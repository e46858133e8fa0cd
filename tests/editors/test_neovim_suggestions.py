"""The plugin's own client in a real Neovim, with the scripted server: what is shown and what a key does."""

from __future__ import annotations

import pytest

from tests.editors.neovim_session import NeovimSession

GHOST = "fake_completion()"


@pytest.fixture
def neovim(shared_neovim: NeovimSession) -> NeovimSession:
    return shared_neovim


def test_ghost_text_appears_and_tab_accepts_exactly_it(neovim: NeovimSession) -> None:
    neovim.start("import os\n\n")
    neovim.type("Gox = ")
    assert neovim.wait_for_ghost() == GHOST
    assert neovim.lines() == ["import os", "", "x = "]
    neovim.type("<Tab>")
    assert neovim.lines() == ["import os", "", "x = " + GHOST]
    assert neovim.cursor() == (3, len("x = " + GHOST))
    neovim.type("<Esc>u")
    assert neovim.lines()[2] == "x = ", "accepting is an undo step of its own"


def test_a_key_pressed_right_after_tab_comes_after_the_text(neovim: NeovimSession) -> None:
    neovim.start("\n")
    neovim.type("ix = ")
    neovim.wait_for_ghost()
    neovim.type("<Tab>;<CR>y")
    assert neovim.lines() == [f"x = {GHOST};", "y"]


def test_tab_in_the_same_breath_as_a_key_that_follows_the_ghost(neovim: NeovimSession) -> None:
    """Neovim tells of a change only when no key is waiting: what is accepted must fit the text all the same."""
    neovim.start("\n")
    neovim.type("ix = ")
    neovim.wait_for_ghost()
    neovim.type("fa<Tab>")
    assert neovim.lines()[0] == "x = " + GHOST


def test_tab_is_a_tab_where_nothing_is_shown(neovim: NeovimSession) -> None:
    neovim.start("\n")
    neovim.type("ix<C-]><Tab>y")
    assert neovim.lines()[0] == "x   y"


def test_accept_word_by_word(neovim: NeovimSession) -> None:
    neovim.start("\n")
    neovim.type("ix = ")
    neovim.wait_for_ghost()
    neovim.type("<M-Right>")
    assert neovim.lines()[0] == "x = fake_completion"
    assert neovim.wait_for_ghost("()") == "()"
    neovim.type("<M-Right>")
    assert neovim.lines()[0] == "x = " + GHOST


def test_dismiss_hides_it_and_the_next_key_asks_anew(neovim: NeovimSession) -> None:
    neovim.start("\n")
    neovim.type("ix = ")
    neovim.wait_for_ghost()
    neovim.type("<C-]>")
    assert neovim.ghost() is None
    assert neovim.lines()[0] == "x = "
    neovim.type("(")
    assert neovim.wait_for_ghost() == GHOST


def test_typing_along_keeps_it_in_every_frame(neovim: NeovimSession) -> None:
    neovim.start("\n")
    neovim.type("ix = ")
    neovim.wait_for_ghost()
    neovim.look()
    for length in range(1, len("fake_comple") + 1):
        neovim.press(GHOST[length - 1])
        neovim.wait_for_ghost(GHOST[length:])
    neovim.press("<BS>")
    neovim.wait_for_ghost("etion()")
    neovim.press("<Tab>")
    neovim.wait_for_lines("x = " + GHOST)
    frames = neovim.look().frames_of(0)
    assert len(frames) >= len("fake_comple")
    # After that the server is asked anew.
    assert set(frames) <= {"x = " + GHOST, "x = " + GHOST + GHOST}


def test_typing_something_else_takes_it_away_at_once(neovim: NeovimSession) -> None:
    neovim.start("\n")
    neovim.type("ix = ")
    neovim.wait_for_ghost()
    neovim.look()
    neovim.press("(")
    neovim.wait_for_lines("x = (")
    neovim.wait_for_ghost()
    frames = neovim.look().frames_of(0)
    assert set(frames) <= {"x = " + GHOST, "x = (", "x = (" + GHOST}
    assert "x = (" in frames


def test_leaving_insert_mode_or_moving_the_cursor_hides_it(neovim: NeovimSession) -> None:
    neovim.start("\n")
    neovim.type("ix = ")
    neovim.wait_for_ghost()
    neovim.type("<Left>")
    assert neovim.ghost() is None
    neovim.type("<End> ")
    neovim.wait_for_ghost()
    neovim.type("<Esc>")
    assert neovim.ghost() is None


def test_next_and_previous_among_three(neovim: NeovimSession) -> None:
    neovim.start("\n")
    neovim.type("iMANY ")
    neovim.wait_for_ghost("one()")
    for key, text in (("]", "two()"), ("]", "three()"), ("]", "one()"), ("[", "three()"), ("[", "two()")):
        neovim.type(f"<M-{key}>")
        neovim.wait_for_ghost(text)
    neovim.type("<Tab>")
    assert neovim.lines()[0] == "MANY two()"


def test_a_cancel_reaches_the_server(neovim: NeovimSession) -> None:
    neovim.start("\n")
    # Nothing else may reach the server: a change of the text or a newer request would end the request as well.
    debounce = "for _, client in ipairs(vim.lsp.get_clients()) do client.flags.debounce_text_changes = ... end"
    automatic = "require('completion_server.config').options.automatic = ..."
    neovim.lua(debounce, 60_000)
    for keys in ("x", "<Esc>", "<C-]>", "<Left>"):
        neovim.type("<Esc>oWAIT")
        neovim.wait_for_status("running")
        before = neovim.ask_server("status")["model"]["cancelled"]
        neovim.lua(automatic, False)
        neovim.type(keys)
        neovim.wait_for_status(f"model.cancelled > {before}")
        trace = neovim.ask_server("explain", {"uri": neovim.lua("return vim.uri_from_bufnr(0)")})
        assert trace["reason"] == "cancelled by the client"
        neovim.lua(automatic, True)
    neovim.lua(debounce, 150)  # as it is by itself


def test_a_suggestion_of_one_file_is_not_accepted_in_another(neovim: NeovimSession) -> None:
    neovim.start("\n")
    neovim.type("ix = ")
    neovim.wait_for_ghost()
    neovim.command("hide edit other.py")
    assert neovim.lua("return require('completion_server').is_visible()") is False
    assert neovim.lua("return require('completion_server').accept()") is False
    assert neovim.ghost() is None


def test_windows_split_on_one_buffer(neovim: NeovimSession) -> None:
    neovim.start("first\nsecond\nthird\n")
    neovim.command("split")
    neovim.type("G")
    neovim.command("wincmd w")
    neovim.type("ggA = ")
    neovim.wait_for_ghost()
    mark = neovim.lua("return require('neovim_probe').mark()")
    assert mark[1:3] == [0, len("first = ")]
    neovim.type("<Tab>")
    assert neovim.lines() == ["first = " + GHOST, "second", "third"]
    assert neovim.cursor() == (1, len("first = " + GHOST))
    neovim.type("<Esc>")
    neovim.command("wincmd w")
    assert neovim.cursor()[0] == 3
    neovim.type("A + ")
    neovim.wait_for_ghost()
    assert neovim.lua("return require('neovim_probe').mark()")[1:3] == [2, len("third + ")]
    neovim.command("wincmd w")
    assert neovim.ghost() is None, "it belongs to the window that it was asked for in"
    neovim.assert_server_has_the_text()
