"""Keys of the plugin beside those that were mapped before it."""

from __future__ import annotations

import pytest

from tests.editors.neovim_scripted import SCRIPTED, answer, start_scripted, wait_for_request
from tests.editors.neovim_session import NeovimSession


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ("vim.keymap.set('i', '<Tab>', 'tab')", "xtaby"),
        ("vim.keymap.set('i', '<Tab>', function() return '<End>!' end, { expr = true })", "x!y"),
        ("vim.keymap.set('i', '<Tab>', function() end, { expr = true })", "xy"),
        ("vim.keymap.set('i', '<Tab>', function() vim.api.nvim_put({ '+' }, 'c', false, true) end)", "x+y"),
        ("vim.cmd([[inoremap <expr> <Tab> 1 + 1]])", "x2y"),
        ("vim.cmd([[imap Q remapped]]) vim.cmd([[imap <Tab> Q]])", "xremappedy"),
        ("", "x   y"),
    ],
)
def test_what_tab_did_before_it_still_does(neovim: NeovimSession, mapping: str, expected: str) -> None:
    neovim.lua(mapping)
    start_scripted(neovim, "\n")
    neovim.type("ix<Tab>y")
    neovim.wait_for_lines(expected)
    wait_for_request(neovim)
    answer(neovim, " = 1")
    neovim.wait_for_ghost(" = 1")
    neovim.type("<Tab>")
    assert neovim.lines() == [expected + " = 1"]


def test_keys_are_the_users_choice(neovim: NeovimSession) -> None:
    start_scripted(neovim, "\n", keymaps={"accept": "<C-j>", "dismiss": False})
    neovim.type("ix")
    wait_for_request(neovim)
    answer(neovim, " = 1")
    neovim.wait_for_ghost()
    neovim.type("<C-j>")
    assert neovim.lines() == ["x = 1"]
    assert neovim.lua("return vim.fn.maparg('<C-]>', 'i')") == ""


def test_only_a_key_asks_when_automatic_is_off(neovim: NeovimSession) -> None:
    start_scripted(neovim, "\n", automatic=False)
    neovim.type("ix")
    assert neovim.lua(f"return #{SCRIPTED}.requests") == 0
    neovim.type("<M-[>")
    assert wait_for_request(neovim)["context"] == {"triggerKind": 1}
    answer(neovim, "one()", "two()", "three()")
    neovim.wait_for_ghost("three()")
    neovim.type("th")
    assert neovim.ghost() == "ree()"
    assert neovim.lua(f"return #{SCRIPTED}.requests") == 1


def test_setup_twice_is_setup_once(neovim: NeovimSession) -> None:
    start_scripted(neovim, "\n")
    start_scripted(neovim, "\n")
    neovim.type("ix<Tab>y")
    assert neovim.lines() == ["x   y"]
    assert neovim.lua("return #vim.lsp.get_clients()") == 1
