"""A real Emacs in a terminal of its own, driven by key presses; it tells what happens over a socket.

``emacs_setup.sh`` installs one. TEST_EMACS may name another, which must find lsp-mode 10 without any configuration
(``EMACSLOADPATH``).
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "editor-clients" / "emacs" / "README.md"
PROBE = Path(__file__).with_name("emacs_probe.el")
SETUP = "tests/editors/emacs_setup.sh"
INSTALLED = ROOT / "build" / "emacs" / "emacs"
TAB, ENTER, QUIT, END_OF_FILE, BACK, COMPARE = "\t", "\r", "\x07", "\x1b>", "\x02", "\x1b[20~"
_PATIENCE_SECONDS = 120
# Makes its standard input the terminal of a session of its own, then becomes the command after it.
_IN_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""

Event = dict[str, Any]


def readme_lisp() -> list[str]:
    """The pieces of Emacs Lisp in the README, in order."""
    return re.findall(r"```elisp\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def find_emacs() -> Path | str:
    """An Emacs that has lsp-mode 10, or why there is none."""
    path = Path(os.environ.get("TEST_EMACS", INSTALLED))
    if not path.exists():
        return f"Emacs with lsp-mode is not there ({path.name}): run {SETUP} or name one in TEST_EMACS"
    command = [str(path), "--batch", "-q", "--eval", "(require 'lsp-inline-completion)"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
    return path if result.returncode == 0 else f"{path} has no lsp-mode 10: {result.stderr.strip()[-200:]}"


class EmacsSession:
    """One running Emacs. Every wait is for something that Emacs tells, and passes over what it told before."""

    def __init__(self, screen: int, told: TextIO, workspace: Path) -> None:
        self._screen = screen
        self._told = told
        self.workspace = workspace
        self.versions = self.wait_for("started")

    def press(self, *keys: str) -> None:
        """Press keys, given as the characters that a terminal sends for them."""
        os.write(self._screen, "".join(keys).encode())

    def wait_for(self, event: str, **facts: Any) -> Event:
        """The next ``event`` with these facts."""
        for line in self._told:
            told: Event = json.loads(line)
            if told["event"] == event and facts.items() <= told.items():
                return told
        raise AssertionError(f"Emacs ended before {event} {facts}")

    def open(self, name: str, text: str) -> Event:
        """Open a new file with the cursor at its start. Returns the status of the server with its model loaded."""
        path = self.workspace / name
        path.write_text(text, encoding="utf-8")
        is_first = len(list(self.workspace.iterdir())) == 1
        self.press("\x18\x06", str(path), ENTER)
        if is_first:
            self.wait_for("asked for the root")
            self.press("i")
        status: Event = json.loads(self.wait_for("loaded")["status"])
        return status

    def go_to_end(self, num_back: int = 0) -> Event:
        """Move to the end of the file, and back by some characters; returns the state there."""
        self.press(END_OF_FILE, BACK * num_back)
        state = self.wait_for("command", name="end-of-buffer")
        for _ in range(num_back):
            state = self.wait_for("command", name="backward-char")
        return state

    def has_same_text_as_server(self) -> bool:
        """Whether the server's document is, byte for byte, the buffer."""
        self.press(COMPARE)
        told = self.wait_for("compared")
        documents = json.loads(told["status"])["documents"]
        return any(document["sha256"] == told["sha256"] for document in documents)


@contextmanager
def running_emacs(emacs: Path, folder: Path, configuration: str, env: dict[str, str]) -> Iterator[EmacsSession]:
    """Emacs with ``configuration`` as its init file, in a terminal of 100 by 30; it ends with the context."""
    (folder / "workspace").mkdir(parents=True)
    (folder / "init").mkdir()
    (folder / "init" / "init.el").write_text(configuration, encoding="utf-8")
    listener = socket.socket(socket.AF_UNIX)
    listener.settimeout(_PATIENCE_SECONDS)
    listener.bind(str(folder / "probe"))
    listener.listen()
    screen, terminal = _open_terminal()
    arguments = ["-nw", f"--init-directory={folder / 'init'}", "-l", str(PROBE)]
    process = subprocess.Popen(
        [sys.executable, "-c", _IN_TERMINAL, str(emacs), *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=folder,
        env={**_environment(folder), **env},
    )
    os.close(terminal)
    reader = threading.Thread(target=_read_away, args=(screen,))
    reader.start()
    try:
        with listener, listener.accept()[0] as told:
            told.settimeout(_PATIENCE_SECONDS)
            with told.makefile("r", encoding="utf-8", newline="\n") as lines:
                yield EmacsSession(screen, lines, folder / "workspace")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join()
        os.close(screen)


def _environment(folder: Path) -> dict[str, str]:
    """A PATH on which there is this server and no other that lsp-mode knows."""
    server = folder / "bin" / "completion-server"
    server.parent.mkdir()
    server.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m completion_server "$@"\n')
    server.chmod(0o755)
    return {
        **os.environ,
        "TERM": "xterm-256color",
        "PATH": os.pathsep.join([str(server.parent), "/usr/bin", "/bin"]),
        "EMACS_PROBE": str(folder / "probe"),
    }


def _open_terminal() -> tuple[int, int]:
    """Both ends of a terminal: ours and the program's."""
    import fcntl  # here: these three are not everywhere, and there the tests are skipped
    import pty
    import termios

    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    return screen, terminal


def _read_away(screen: int) -> None:
    """Somebody has to look at the screen, or Emacs would wait for it."""
    try:
        while os.read(screen, 65536):
            pass
    except OSError:  # the terminal is gone
        pass
