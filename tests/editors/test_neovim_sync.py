"""The server's copy of a text is Neovim's, whatever is done to it. Compared by hash."""

from __future__ import annotations

import pytest

from tests.editors.neovim_session import NeovimSession
from tests.editors.neovim_typist import random_keys

TEXT = 'import os\n\n\ndef grüße(name):\n\tprint("héllo 😀", name)\x0c\n\n# a\u2028b\u0085c\nlast = "漢字"\n'


@pytest.fixture
def neovim(shared_neovim: NeovimSession) -> NeovimSession:
    return shared_neovim


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_500_random_keys(neovim: NeovimSession, seed: int, ending: str) -> None:
    neovim.start(TEXT.replace("\n", ending))
    assert neovim.lua("return vim.bo.fileformat") == ("dos" if ending == "\r\n" else "unix")
    before = neovim.ask_server("status")["num_requests"]
    for number, key in enumerate(random_keys(seed, 500)):
        neovim.press(key)
        if number % 3 == 0:
            neovim.settle()
        if number % 50 == 0:
            neovim.assert_server_has_the_text()
    neovim.settle()
    neovim.assert_server_has_the_text()
    assert neovim.ask_server("status")["num_requests"] - before > 50


def test_a_form_feed_and_an_emoji_before_the_cursor(neovim: NeovimSession) -> None:
    neovim.start("\n")
    neovim.type("i😀 <C-v>u000c \u2028 x = ")
    neovim.wait_for_ghost("fake_completion()")
    neovim.type("<Tab>")
    assert neovim.lines() == ["😀 \x0c \u2028 x = fake_completion()"]
    neovim.type("<Esc>oECHO 😀é")
    # The scripted server sends back what it takes to stand before the cursor.
    neovim.wait_for_ghost("é😀 OHCE")
    neovim.type("<Tab>")
    neovim.assert_server_has_the_text()


def test_crlf_stays_crlf(neovim: NeovimSession) -> None:
    neovim.start("one\r\ntwo\r\n")
    neovim.type("ofake = ")
    neovim.wait_for_ghost("fake_completion()")
    neovim.type("<Tab><CR>x")
    neovim.assert_server_has_the_text()
    neovim.command("stopinsert | write")
    assert (neovim.home / "a.py").read_bytes() == b"one\r\nfake = fake_completion()\r\nx\r\ntwo\r\n"


def test_two_windows_on_one_buffer(neovim: NeovimSession) -> None:
    neovim.start(TEXT)
    neovim.command("vsplit")
    for number, key in enumerate(random_keys(3, 200)):
        neovim.press(key)
        if number % 10 == 0:
            neovim.press("<Esc><C-w>w")
    neovim.settle()
    neovim.assert_server_has_the_text()


def test_a_file_without_a_last_line_end(neovim: NeovimSession) -> None:
    neovim.start("a\nb")
    neovim.assert_server_has_the_text()
    neovim.type("GAé<Esc>")
    neovim.assert_server_has_the_text()
    neovim.type("ofoo")
    neovim.assert_server_has_the_text()
