"""Setting up, commands, and what is said when something is missing."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.editors.neovim_session import FAKE_SERVER, PLUGIN, NeovimSession, find_neovim

GHOST = "fake_completion()"
HELP = PLUGIN / "doc" / "completion_server.txt"
README = (PLUGIN / "README.md").read_text()
COMMANDS = ["explain", "log", "pause", "restart", "resume", "status"]


def make_program(path: Path) -> Path:
    """A ``completion-server`` that is the scripted one and takes ``serve``."""
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\nexec {shlex.join(FAKE_SERVER)}\n")
    path.chmod(0o755)
    return path


def set_path(neovim: NeovimSession, *folders: Path) -> None:
    neovim.lua("vim.env.PATH = ...", ":".join([*map(str, folders), "/usr/bin", "/bin"]))


def test_pause_resume_status_and_explain(shared_neovim: NeovimSession) -> None:
    neovim = shared_neovim
    neovim.start("\n")
    neovim.type("ix = ")
    neovim.wait_for_ghost()
    neovim.command("CompletionServer pause")
    neovim.wait("require('completion_server.status').current.state == 'paused'")
    assert neovim.ghost() is None
    neovim.command("CompletionServer resume")
    neovim.wait("require('completion_server.status').current.state == 'ready'")
    neovim.type("(")
    neovim.wait_for_ghost(GHOST)
    neovim.type("<Esc>")
    for name, line in (("explain", "finish_reason: stop"), ("", "state: ready")):
        neovim.command(f"CompletionServer {name}")
        neovim.wait("vim.tbl_contains(vim.api.nvim_buf_get_lines(0, 0, -1, false), a[1])", line)
        neovim.type("q")
        assert neovim.lines() == ["x = ("]


def test_restart_brings_suggestions_back(neovim: NeovimSession) -> None:
    neovim.start("\n")
    first = neovim.lua("return require('completion_server.server').client().id")
    neovim.command("CompletionServer restart")
    neovim.wait("(require('completion_server.server').client() or { id = a[1] }).id ~= a[1]", first)
    neovim.wait_until_ready()
    neovim.type("ix = ")
    assert neovim.wait_for_ghost() == GHOST
    neovim.assert_server_has_the_text()


def test_one_server_for_all_files(shared_neovim: NeovimSession) -> None:
    neovim = shared_neovim
    neovim.start("\n")
    (neovim.home / "elsewhere" / ".git").mkdir(parents=True)
    neovim.edit("x\n", "elsewhere/b.py")
    neovim.type("A = ")
    assert neovim.wait_for_ghost() == GHOST
    assert neovim.lua("return #vim.lsp.get_clients()") == 1


def test_the_log_shows_what_the_server_said(shared_neovim: NeovimSession) -> None:
    neovim = shared_neovim
    neovim.start("\n")
    neovim.command("CompletionServer log")
    assert any("is ready" in line for line in neovim.lines())


def test_arguments_are_completed(shared_neovim: NeovimSession) -> None:
    neovim = shared_neovim
    neovim.start("\n")
    complete = "return vim.fn.getcompletion(..., 'cmdline')"
    assert neovim.lua(complete, "CompletionServer ") == COMMANDS
    assert neovim.lua(complete, "CompletionServer re") == ["restart", "resume"]
    neovim.command("CompletionServer nonsense")
    assert "nonsense" in neovim.messages()


def test_checkhealth_and_help(shared_neovim: NeovimSession) -> None:
    neovim = shared_neovim
    neovim.start("\n")
    neovim.command("checkhealth completion_server")
    text = "\n".join(neovim.lines())
    assert "ready, model" in text
    assert "ERROR" not in text
    assert "WARNING" not in text
    (neovim.home / "doc").mkdir()
    (neovim.home / "doc" / HELP.name).write_text(HELP.read_text())
    neovim.command(f"helptags {neovim.home}/doc | set runtimepath^={neovim.home}")
    for tag in ("completion_server-install", ":CompletionServer", "completion_server.setup()"):
        neovim.command(f"help {tag}")


def test_the_status_line_follows_loading(neovim: NeovimSession) -> None:
    gate = neovim.home / "gate"
    component = "require('completion_server.statusline').component()"
    settings = {"model": {"name": "GATE-CHATTY", "cacheDir": str(gate)}}
    neovim.setup(FAKE_SERVER, settings=settings)
    assert neovim.lua(f"return {component}") == ""
    neovim.edit("\n")
    neovim.wait(f"{component}:find('^completion: loading %d+%%')")
    gate.touch()
    neovim.wait(f"{component} == 'completion: ready'")


def test_an_error_of_the_server_is_shown_by_the_status_line(neovim: NeovimSession) -> None:
    neovim.setup(FAKE_SERVER, settings={"model": {"name": "FAIL"}})
    neovim.edit("\n")
    neovim.wait("require('completion_server.statusline').component() == 'completion: error'")
    status = neovim.lua("return require('completion_server.status').current")
    assert "completion-server models list" in status["message"]


def test_a_missing_server_is_told_once(neovim: NeovimSession) -> None:
    set_path(neovim)
    neovim.setup()
    neovim.edit("\n")
    neovim.edit("\n", "b.py")
    assert neovim.messages().count("not found") == 1
    neovim.type("ix<Tab>y")
    assert neovim.lines()[0] == "x   y"


def test_the_server_on_path(neovim: NeovimSession) -> None:
    program = make_program(neovim.home / "bin" / "completion-server")
    set_path(neovim, program.parent)
    neovim.setup()
    neovim.edit("\n")
    neovim.wait_until_ready()
    assert neovim.lua("return require('completion_server.server').client().config.cmd") == [str(program), "serve"]


@pytest.mark.parametrize("answer", ["a", "d"])
def test_a_server_of_the_workspace_runs_only_if_the_user_trusts_it(neovim: NeovimSession, answer: str) -> None:
    elsewhere = make_program(neovim.home / "bin" / "completion-server")
    inside = make_program(neovim.home / "work" / ".venv" / "bin" / "completion-server")
    (neovim.home / "work" / ".git").mkdir()
    (neovim.home / "work" / "a.py").write_text("\n")
    set_path(neovim, elsewhere.parent)
    neovim.setup()
    # Neovim asks, so a command sent over the pipe would not come back.
    neovim.press(f":edit {neovim.home}/work/a.py<CR>{answer}")
    neovim.wait_until_ready()
    command = neovim.lua("return require('completion_server.server').client().config.cmd")
    assert command == [str(inside if answer == "a" else elsewhere), "serve"]


def test_settings_reach_the_server(neovim: NeovimSession) -> None:
    neovim.start("\n", settings={"generation": {"temperature": 0.5}})
    assert neovim.ask_server("status")["model"]["temperature"] == 0.5


def test_file_types_and_other_buffers_are_left_alone(neovim: NeovimSession) -> None:
    neovim.setup(FAKE_SERVER, filetypes=["ruby"])
    neovim.edit("\n")
    assert neovim.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 0
    neovim.command("enew | setfiletype ruby")
    assert neovim.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 0
    neovim.edit("\n", "a.rb")
    neovim.wait("#vim.lsp.get_clients({ bufnr = 0 }) == 1")


def test_an_unknown_option_is_reported(neovim: NeovimSession) -> None:
    neovim.setup(FAKE_SERVER, settigns={})
    assert "settigns" in neovim.messages()


def test_the_options_that_are_documented_are_the_options_there_are(neovim: NeovimSession) -> None:
    defaults = json.loads(neovim.lua("return vim.json.encode(require('completion_server.config').defaults)"))
    text = HELP.read_text()
    assert all(f"*completion_server-{name}*" in text for name in defaults)


def test_the_options_in_the_readme_are_the_defaults(neovim: NeovimSession) -> None:
    blocks = re.findall(r"```lua\nrequire\('completion_server'\)\.setup\((\{.*?\n\})\)", README, re.DOTALL)
    assert len(blocks) == 1
    are_equal = "return vim.deep_equal(load('return ' .. ...)(), require('completion_server.config').defaults)"
    assert neovim.lua(are_equal, blocks[0])


def test_a_newcomer_gets_ghost_text_in_three_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's ``init.lua``, as it stands there, in a new home; only the server is the scripted one."""
    (init,) = re.findall(r"init\.lua`:\n\n +```lua\n(.*?)```", README, re.DOTALL)
    checkout = tmp_path / "completion-server"
    make_program(checkout / ".venv" / "bin" / "completion-server")
    (checkout / "editor-clients").mkdir()
    (checkout / "editor-clients" / "neovim").symlink_to(PLUGIN)
    (tmp_path / "config" / "nvim").mkdir(parents=True)
    (tmp_path / "config" / "nvim" / "init.lua").write_text(init)
    monkeypatch.setenv("HOME", str(tmp_path))
    with NeovimSession(find_neovim(), tmp_path, arguments=()) as neovim:
        neovim.edit("\n")
        neovim.wait_until_ready()
        neovim.type("ix = ")
        neovim.wait_for_ghost(GHOST)
        neovim.type("<Tab>")
        neovim.wait_for_lines("x = " + GHOST)
