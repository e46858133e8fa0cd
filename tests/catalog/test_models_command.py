"""The ``models`` command: plain text for pipes, JSON for scripts, one clear line when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from completion_server.catalog.registry import MODEL_ENTRIES
from completion_server.cli import models_command
from tests.catalog.gguf_samples import write_tiny_llama

runner = CliRunner()


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(models_command, "_model_settings", lambda: (tmp_path / "cache", True))
    return tmp_path / "cache"


def test_list_shows_every_known_model() -> None:
    result = runner.invoke(models_command.app, ["list"])
    assert result.exit_code == 0
    for entry in MODEL_ENTRIES:
        assert entry.name in result.stdout
    assert "Qwen Research License (!)" in result.stdout


def test_list_as_json() -> None:
    result = runner.invoke(models_command.app, ["list", "--json"])
    rows = json.loads(result.stdout)
    assert [row["name"] for row in rows] == [entry.name for entry in MODEL_ENTRIES]
    assert [row["name"] for row in rows if row["default"]] == ["smollm2-135m"]
    assert not any(row["installed"] for row in rows)


def test_pull_list_show_and_remove(tmp_path: Path) -> None:
    path = tmp_path / "tiny[1].gguf"
    write_tiny_llama(path)
    result = runner.invoke(models_command.app, ["pull", str(path)])
    assert result.exit_code == 0, result.output
    assert "is ready in" in result.stdout
    assert "converting" in result.stderr

    (row,) = [
        row for row in json.loads(runner.invoke(models_command.app, ["list", "--json"]).stdout) if row["installed"]
    ]
    assert row["source"] == f"file {path}"
    shown = runner.invoke(models_command.app, ["show", row["name"]])
    assert "tiny[1].gguf" in shown.stdout

    kept = runner.invoke(models_command.app, ["remove", row["name"]], input="n\n")
    assert kept.exit_code == 1
    assert Path(row["path"]).is_dir()
    removed = runner.invoke(models_command.app, ["remove", row["name"], "--yes"])
    assert removed.exit_code == 0
    assert not Path(row["path"]).exists()


def test_show_as_json_for_a_model_that_is_not_installed() -> None:
    shown = json.loads(runner.invoke(models_command.app, ["show", "starcoder2-3b", "--json"]).stdout)
    assert shown["licence"] == "BigCode OpenRAIL-M v1"
    assert shown["installed"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "nonsense"], "there is no model nonsense"),
        (["remove", "nonsense", "--yes"], "no model called nonsense"),
        (["pull", "smollm2-135m"], "model.offline"),
        (["pull", "nonsense"], "there is no model 'nonsense'"),
    ],
)
def test_errors_are_one_line_and_exit_code_1(arguments: list[str], message: str) -> None:
    result = runner.invoke(models_command.app, arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


def test_a_restricted_licence_is_said_before_the_download() -> None:
    result = runner.invoke(models_command.app, ["pull", "qwen2.5-coder-3b"])
    assert "non-commercial" in result.stderr
