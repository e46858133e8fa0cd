from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from completion_server.cli.app import app
from completion_server.cli.config_command import resolve_with_sources
from completion_server.cli.option import CommonOptions
from completion_server.config import Settings
from completion_server.settings_schema import settings_as_dict

runner = CliRunner()


def test_the_schema_is_valid_and_takes_the_defaults() -> None:
    result = runner.invoke(app, ["config", "--schema"])
    schema = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(json.dumps(settings_as_dict(Settings()))), schema)


def test_every_value_names_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".completion-server.toml").write_text(
        "[generation]\ntopK = 5\n[latency]\ninvokedTimeoutMs = 900\n", encoding="utf-8"
    )
    monkeypatch.setenv("COMPLETION_SERVER_LATENCY_INVOKED_TIMEOUT_MS", "800")
    found = resolve_with_sources(CommonOptions(model="mine"), tmp_path)
    assert found["model.name"] == ("mine", "command line")
    assert found["generation.topK"] == (5, ".completion-server.toml")
    variable = "COMPLETION_SERVER_LATENCY_INVOKED_TIMEOUT_MS"
    assert found["latency.invokedTimeoutMs"] == (800, f"environment ({variable})")
    assert found["context.maxPromptTokens"] == (1024, "default")


def test_the_table_is_plain_and_shows_files_and_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".completion-server.toml").write_text("nonsense = 1\n", encoding="utf-8")
    result = runner.invoke(app, ["config"])
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert f"{tmp_path / '.completion-server.toml'} (read)" in result.stdout
    assert "unknown setting nonsense" in result.stdout


def test_json_has_every_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    value = json.loads(runner.invoke(app, ["config", "--json"]).stdout)
    assert {row["setting"] for row in value["settings"]} >= {"enabled", "model.name", "cache.prefixCacheMb"}
    assert value["files"]["workspace file"].endswith("(not there)")
