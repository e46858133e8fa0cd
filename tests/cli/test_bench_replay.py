"""``bench replay`` through a real server process whose model is a script."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from completion_server.cli.app import app
from completion_server.cli.option import CommonOptions
from completion_server.evaluation.replay import growth, peer_start
from completion_server.evaluation.replay.session import Session

FAKE_SERVER = [sys.executable, "-m", "tests.support.fake_server"]


@pytest.fixture(autouse=True)
def _fake_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CommonOptions, "server_command", lambda _options: FAKE_SERVER)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bench", "replay", "--pace", "0", *arguments])


def test_a_table_and_one_json_line(tmp_path: Path) -> None:
    events, sessions = tmp_path / "events.jsonl", tmp_path / "sessions.jsonl"
    result = run(
        *("--keys", "8", "--repeats", "1", "--sessions", "function,line"),
        *("--save-events", str(events), "--save-sessions", str(sessions)),
    )
    assert result.exit_code == 0, result.output
    *table, last = result.stdout.splitlines()
    assert any("ghost text p50, ms" in line for line in table)
    value = json.loads(last)
    assert (value["bench"], value["num_repeats"], value["ratios"]) == ("replay", 1, {})
    figures = value["figures"]["ours"]
    assert set(figures) == {"function", "line", "all"}
    assert figures["all"]["num_keys"] == sum(session["num_keys"] for session in value["sessions"])
    assert figures["all"]["share_with_text"] == 1
    assert figures["all"]["ghost_text_ms"]["p99"] > 0
    assert figures["all"]["max_rss_bytes"] > 0
    assert figures["all"]["cancel_to_idle_ms"]["count"] >= 0
    assert value["machine"]["usable_cores"] >= 1
    kept = [Session.from_dict(json.loads(line)) for line in sessions.read_text().splitlines()]
    assert [session.kind for session in kept] == ["function", "line"]
    assert len(events.read_text().splitlines()) == 2


def test_as_json_nothing_else_is_printed(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def one(value):\n    return call(value, other)\n\n" * 30)
    result = run(
        "--source", str(tmp_path), "--keys", "8", "--repeats", "1", "--sessions", "accept", "--json", "--load"
    )
    value = json.loads(result.stdout)
    assert (value["sessions"][0]["source"], value["is_loaded"]) == ("mine.py", True)


def test_a_variant_is_this_server_with_one_setting_changed() -> None:
    names = ["latency.maxDebounceMs=150", "generation.suggestions=eager"]
    variants = [part for name in names for part in ("--variant", name)]
    result = run("--keys", "8", "--repeats", "1", "--sessions", "line", "--json", *variants)
    assert result.exit_code == 0, result.output
    value = json.loads(result.stdout)
    assert list(value["figures"]) == ["ours", *names]
    assert list(value["ratios"]) == names
    assert len({figures["all"]["num_keys"] for figures in value["figures"].values()}) == 1


def test_growth_compares_a_short_file_with_a_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "_FILLER_BLOCK", 10)
    monkeypatch.setattr("completion_server.cli.bench_replay_command._LONG_LINES", 2000)
    result = run("--growth", "--keys", "8", "--repeats", "2")
    assert result.exit_code == 0, result.output
    value = json.loads(result.stdout.splitlines()[-1])
    assert value["p50_ratio"] > 0
    (short, long) = value["figures"].values()
    assert short["num_keys"] == long["num_keys"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--peers", "ollama"), "no such peer: ollama (known: llama-infill, llama-completion, transformers)"),
        (("--sessions", "dance"), "no such kind of session: dance"),
        (("--variant", "latency.maxDebounce=9"), "unknown setting latency.maxDebounce (did you mean"),
        (("--variant", "latency.maxDebounceMs=soon"), "latency.maxDebounceMs = 'soon' is ignored"),
    ],
)
def test_unknown_names_are_refused(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr


def test_what_is_not_installed_is_said_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_start, "find_spec", lambda _name: None)
    monkeypatch.setattr("completion_server.evaluation.replay.plot.find_spec", lambda _name: None)
    assert "llama-infill needs xllamacpp: pip install" in run("--peers", "llama-infill").stderr
    assert "a plot needs matplotlib: pip install" in run("--plot", "curve.svg").stderr
