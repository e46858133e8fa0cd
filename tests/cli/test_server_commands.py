"""The commands that drive a real server process, here one whose model is a script."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from completion_server.cli.app import app
from completion_server.cli.option import CommonOptions
from completion_server.cli.sample import SAMPLES

FAKE_SERVER = [sys.executable, "-m", "tests.support.fake_server"]


@pytest.fixture(autouse=True)
def _fake_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CommonOptions, "server_command", lambda _options: FAKE_SERVER)


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment)


def test_the_demo_types_all_samples_and_succeeds() -> None:
    result = run("demo", "--fast")
    assert result.exit_code == 0, result.output
    for sample in SAMPLES:
        assert f"--- {sample.name}" in result.stdout
    assert "-> fake_completion()  (" in result.stdout
    assert "keys with a suggestion" in result.stdout
    assert "completion-server try FILE" in result.stdout
    assert "\x1b" not in result.output


def test_the_demo_fails_when_nothing_was_shown() -> None:
    result = run("demo", "--fast", COMPLETION_SERVER_DISABLED_LANGUAGES="python,javascript")
    assert result.exit_code == 1
    assert "No suggestion came in time" in result.stdout


def test_a_model_that_cannot_be_loaded_is_one_clear_line() -> None:
    result = run("demo", "--fast", COMPLETION_SERVER_MODEL_NAME="FAIL")
    assert result.exit_code == 1
    assert result.stderr == "completion-server: no such model; run: completion-server models list\n"


def test_bench_latency_prints_a_table_and_one_json_line() -> None:
    result = run("bench", "latency", "--lines", "200", "--chars", "12")
    assert result.exit_code == 0, result.output
    *table, last = result.stdout.splitlines()
    assert any("reply time, ms" in line for line in table)
    value = json.loads(last)
    # The key presses, and the question that an editor asks when it has opened the file.
    assert (value["bench"], value["num_keys"], value["share_with_text"]) == ("latency", 13, 1.0)
    assert value["machine"]["usable_cores"] >= 1
    assert value["model"]["name"]
    assert value["timeout_ms"] == 300


def test_bench_latency_as_json_prints_nothing_else() -> None:
    result = run("bench", "latency", "--lines", "100", "--chars", "3", "--pace-ms", "1", "--json")
    assert json.loads(result.stdout)["pace_ms"] == 1


def test_bench_latency_says_what_cannot_be_typed() -> None:
    result = run("bench", "latency", "--lines", "30", "--chars", "9999")
    assert result.exit_code == 1
    assert "9999 key presses" in result.stderr


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_samples_are_whole_files_with_a_typed_end(sample: object) -> None:
    from completion_server.cli.sample import Sample

    assert isinstance(sample, Sample)
    head, typed = sample.read()
    assert head.endswith("\n")
    assert len(typed) > 100
    if sample.language_id == "python":
        compile(head + typed, sample.name, "exec")


def test_options_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    options = CommonOptions(model="m", offline=True, threads=2)
    assert options.server_command()[-3:] == ["--model", "m", "--offline"]
    assert options.editor_options() == {"model": {"numThreads": 2}}


def test_try_needs_a_terminal_and_a_text_file(tmp_path: Path) -> None:
    assert "needs a terminal" in run("try", str(tmp_path / "a.py")).stderr
    assert "is a directory" in run("try", str(tmp_path)).stderr


def test_bench_documents_prints_a_table_and_one_json_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from completion_server.evaluation import document_bench

    monkeypatch.setattr(document_bench, "SIZES", (50,))
    monkeypatch.setattr(document_bench, "LONG_LINE_CHARS", 20_000)
    *table, last = run("bench", "documents").stdout.splitlines()
    assert any("edit and snapshot" in line for line in table)
    assert json.loads(last)["ms_per_key"]["50"]["change"]["median"] > 0
