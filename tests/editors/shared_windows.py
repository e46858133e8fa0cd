"""Editor windows of several kinds behind one face, each with a server that writes its conversation down."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from tests.editors.neovim_session import NeovimSession, find_neovim
from tests.editors.vscode_machine import INSTALLED, Home, find_machine, running_code_server, write_server

SCRIPT = Path(__file__).with_name("vscode_window.mjs")
_ASKED, _KINDS = "textDocument/inlineCompletion", ("neovim", "vscode")
_START_MS = 120_000
_ANSWER_SECONDS = 180


class Window(Protocol):
    """What a person does in an editor, whichever it is. The cursor is at the end of the file."""

    def type(self, text: str) -> None: ...

    def new_line(self) -> None: ...

    def ghost(self) -> str: ...


class Conversation:
    """What passed between one editor and its server; see ``vscode_recording_server``."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def messages(self) -> list[dict[str, Any]]:
        """All whole lines so far."""
        if not self._log.exists():
            return []
        return [
            json.loads(line) for line in self._log.read_text().splitlines(keepends=True) if line.endswith("\n")
        ]

    def asked(self) -> list[dict[str, Any]]:
        return [message for message in self.messages() if message.get("method") == _ASKED]

    def answered(self) -> list[dict[str, Any]]:
        return [message for message in self.messages() if message.get("reply_to") == _ASKED]

    def open_ids(self) -> set[Any]:
        """Requests without a reply yet."""
        return {message["id"] for message in self.asked()} - {message["id"] for message in self.answered()}

    def first_text_after(self, at: float) -> float | None:
        """When the first reply with text came after ``at``; wall clock in ms."""
        return next(
            (message["at"] for message in self.answered() if message["at"] > at and message.get("items")), None
        )

    def server(self) -> psutil.Process:
        """The language server, below the recorder that the editor started."""
        recorder = next(message["recorder"] for message in self.messages() if "recorder" in message)
        (server,) = psutil.Process(recorder).children()
        return server


class _NeovimWindow:
    def __init__(self, session: NeovimSession) -> None:
        self._session = session

    def type(self, text: str) -> None:
        self._session.type(text.replace("<", "<lt>"))

    def new_line(self) -> None:
        self._session.type("<CR>")

    def ghost(self) -> str:
        return self._session.ghost() or ""


class _VsCodeWindow:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def tell(self, name: str, *arguments: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the window has ended"}')
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def type(self, text: str) -> None:
        self.tell("type", text)

    def new_line(self) -> None:
        self.tell("press", "Enter")

    def ghost(self) -> str:
        return str(self.tell("ghost"))


@contextmanager
def open_window(
    kind: str, home: Path, text: str, settings: dict[str, dict[str, Any]]
) -> Iterator[tuple[Window, Conversation]]:
    """A window of ``kind`` with a file of ``text`` and its server ready, the cursor in a new last line.

    Skips the test, with the reason, where there is no such editor. The environment decides whether the engine is
    shared, and with whom.
    """
    assert kind in _KINDS
    home.mkdir()
    log = home / "server.jsonl"
    write_server(home / "bin" / "completion-server", log)
    opening: Callable[..., Any] = _open_neovim if kind == "neovim" else _open_vscode
    with opening(home, text, settings) as window:
        window.new_line()
        yield window, Conversation(log)


@contextmanager
def _open_neovim(home: Path, text: str, settings: dict[str, dict[str, Any]]) -> Iterator[Window]:
    with NeovimSession(find_neovim(), home) as session:
        command = [str(home / "bin" / "completion-server"), "serve"]
        session.start(text, command, settings=settings)
        session.type("GA")
        yield _NeovimWindow(session)


@contextmanager
def _open_vscode(folder: Path, text: str, settings: dict[str, dict[str, Any]]) -> Iterator[Window]:
    machine = find_machine()
    if isinstance(machine, str):
        pytest.skip(machine)
    home = Home(folder)
    options = {
        f"completionServer.{section}.{name}": value
        for section, of in settings.items()
        for name, value in of.items()
    }
    home.prepare({"security.workspace.trust.enabled": False, "editor.autoIndent": "none", **options})
    (home.workspace / "a.py").write_text(text.rstrip("\n"))
    with running_code_server(machine, home, home.environment(folder / "bin")) as url:
        config = {
            "modules": str(INSTALLED),
            "chromium": machine.chromium,
            "url": f"{url}/?folder={home.workspace}",
            "viewport": {"width": 1000, "height": 460},
            "fileName": "a.py",
            "startMs": _START_MS,
        }
        (folder / "config.json").write_text(json.dumps(config))
        command = [str(machine.node), str(SCRIPT), str(folder / "config.json")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            window = _VsCodeWindow(process)
            try:
                window.tell("start")
                yield window
            finally:
                assert process.stdin is not None
                process.stdin.close()
                try:
                    process.wait(_ANSWER_SECONDS)
                finally:
                    process.kill()
