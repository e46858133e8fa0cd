"""Neovim 0.12's own client: with the plugin around it, and with nothing but the configuration in the README."""

from __future__ import annotations

import re

import pytest

from tests.editors.neovim_session import FAKE_SERVER, ROOT, NeovimSession
from tests.editors.neovim_typist import random_keys

GHOST = "fake_completion()"
TEXT = 'import os\n\n\ndef grüße(name):\n\tprint("héllo 😀", name)\x0c\n\n# a\u2028b\u0085c\nlast = "漢字"\n'


@pytest.fixture
def neovim(shared_native_neovim: NeovimSession) -> NeovimSession:
    return shared_native_neovim


def test_the_configuration_in_the_readme_is_all_it_needs(native_neovim: NeovimSession) -> None:
    neovim = native_neovim
    (code,) = re.findall(r"```lua\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    command = ", ".join(f"[[{part}]]" for part in FAKE_SERVER)
    neovim.lua(code.replace("'completion-server', 'serve'", command))
    neovim.edit("\n")
    neovim.wait("(vim.lsp.get_clients({ bufnr = 0 })[1] or {}).initialized")
    neovim.ask_server("status", {"wait": True})
    neovim.type("ix = ")
    neovim.wait_for_ghost(GHOST)
    neovim.type("<Tab>")
    neovim.wait_for_lines("x = " + GHOST)


def test_native_is_what_auto_means(neovim: NeovimSession) -> None:
    neovim.start("\n")
    assert neovim.lua("return vim.lsp.inline_completion.is_enabled({ bufnr = 0 })")
    assert neovim.lua("return vim.lsp.is_enabled('completion_server')")


def test_tab_accepts_exactly_the_ghost_text(neovim: NeovimSession) -> None:
    neovim.start("import os\n\n")
    neovim.type("Gox = é😀 ")
    neovim.wait_for_ghost(GHOST)
    assert neovim.lines()[-1] == "x = é😀 "
    neovim.type("<Tab>")
    neovim.wait_for_lines("import os", "", "x = é😀 " + GHOST)
    neovim.assert_server_has_the_text()


def test_a_key_typed_along_before_tab_is_not_doubled(neovim: NeovimSession) -> None:
    neovim.start("\n")
    neovim.type("ix = ")
    neovim.wait_for_ghost(GHOST)
    neovim.type("fa<Tab>")
    neovim.wait_for_lines("x = " + GHOST)


def test_word_and_line(neovim: NeovimSession) -> None:
    neovim.start("\n")
    for key, line in (("<M-Right>", "x = fake_completion"), ("<M-Down>", "x = " + GHOST)):
        neovim.type("<Esc>ccx = ")
        neovim.wait_for_ghost(GHOST)
        neovim.type(key)
        neovim.wait_for_lines(line)


@pytest.mark.parametrize("keys", ["<C-]>", "<Esc>"])
def test_dismiss(neovim: NeovimSession, keys: str) -> None:
    neovim.start("\n")
    neovim.type("ix = ")
    neovim.wait_for_ghost(GHOST)
    neovim.type(keys)
    neovim.wait_for_no_ghost()
    assert neovim.lines() == ["x = "]
    neovim.type("<Esc>A(")
    neovim.wait_for_ghost(GHOST)


def test_tab_is_a_tab_where_nothing_is_shown(neovim: NeovimSession) -> None:
    neovim.start("\n")
    neovim.type("ix<C-]><Tab>y")
    assert neovim.lines() == ["x   y"]


@pytest.mark.parametrize("keys", ["<C-]>", "<Esc>"])
def test_a_cancel_reaches_the_server(neovim: NeovimSession, keys: str) -> None:
    neovim.start("\n")
    neovim.type("iWAIT")
    neovim.wait_for_status("running")
    before = neovim.ask_server("status")["model"]["cancelled"]
    neovim.type(keys)
    neovim.wait_for_status(f"model.cancelled > {before}")
    trace = neovim.ask_server("explain", {"uri": neovim.lua("return vim.uri_from_bufnr(0)")})
    assert trace["reason"] == "cancelled by the client"


def test_pause_restart_and_health(native_neovim: NeovimSession) -> None:
    neovim = native_neovim
    neovim.start("\n")
    neovim.command("CompletionServer pause")
    neovim.wait("require('completion_server.status').current.state == 'paused'")
    first = neovim.lua("return require('completion_server.server').client().id")
    neovim.command("CompletionServer restart")
    neovim.wait("(require('completion_server.server').client() or { id = a[1] }).id ~= a[1]", first)
    neovim.wait_until_ready()
    neovim.type("ix = ")
    neovim.wait_for_ghost(GHOST)
    neovim.type("<Esc>")
    neovim.assert_server_has_the_text()
    neovim.command("checkhealth completion_server")
    text = "\n".join(neovim.lines())
    assert "Neovim's own client" in text
    assert "ERROR" not in text
    assert "WARNING" not in text


def test_500_random_keys(neovim: NeovimSession) -> None:
    neovim.start(TEXT)
    for number, key in enumerate(random_keys(5, 500)):
        neovim.press(key)
        if number % 3 == 0:
            neovim.settle()
    neovim.settle()
    neovim.assert_server_has_the_text()
