"""The log on the disk: what it keeps, what it never keeps, and that no fault of the disk reaches anybody."""

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from completion_server.cli import explain_command
from completion_server.cli.app import app
from completion_server.usage_log.place import DATABASE_NAME, TRACES_NAME, state_dir
from completion_server.usage_log.store import MAX_AGE_DAYS, ShownSuggestion, UsageStore, now, read_rows
from completion_server.usage_log.summary import acceptance, decoding_waste, percentile, summarise
from completion_server.usage_log.traces import append_trace, read_traces
from completion_server.usage_log.writer import UsageWriter


def shown(key: str, **changes: object) -> ShownSuggestion:
    values: dict[str, object] = {
        "key": key,
        "shown_at": now(),
        "language": "python",
        "model": "m",
        "kind": "automatic",
        "score": 0.5,
        "num_chars": 10,
        "num_lines": 1,
        "latency_ms": 100.0,
    }
    return ShownSuggestion(**{**values, **changes})  # type: ignore[arg-type]


def fill(path: Path) -> None:
    store = UsageStore(path)
    for key in "abcd":
        store.add(shown(key, language="go" if key == "d" else "python", latency_ms=100.0 + ord(key)))
    store.accept("a", 10, is_whole=True)
    store.keep("a", 5)
    store.accept("b", 4, is_whole=False)
    store.ignore("b")
    store.ignore("c")
    store.confirm("c")
    store.close()


def test_rows_tell_what_became_of_each(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.sqlite3"
    fill(path)
    rows = {row["key"]: row for row in read_rows(path)}
    assert [rows[key]["outcome"] for key in "abcd"] == ["accepted", "partial", "ignored", "open"]
    assert (rows["a"]["num_kept_chars"], rows["b"]["num_accepted_chars"], rows["c"]["is_confirmed"]) == (5, 4, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    everything, python, go = summarise(list(rows.values()))
    assert (everything["num_shown"], everything["acceptance_rate"], everything["kept_after_30s"]) == (4, 0.5, 0.5)
    assert (python["language"], python["num_shown"], go["acceptance_rate"]) == ("python", 3, 0.0)
    assert acceptance(list(rows.values()), "m") == (3, 2, 0.5)
    assert acceptance(list(rows.values()), "other") == (0, 0, 0.0)


def test_old_rows_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite3"
    store = UsageStore(path)
    store.add(shown("old", shown_at=now() - (MAX_AGE_DAYS + 1) * 86_400))
    store.add(shown("new"))
    store.close()
    UsageStore(path).close()
    assert [row["key"] for row in read_rows(path)] == ["new"]


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert (percentile([3, 1, 2], 0.5), percentile(range(1, 101), 0.95), percentile([], 0.5)) == (2, 95, None)


def test_the_writer_writes_on_its_own_thread(tmp_path: Path) -> None:
    writer = UsageWriter(tmp_path)
    writer.write(lambda store: store.add(shown("a")))
    writer.trace({"reason": "x"})
    writer.close(30)
    assert [row["key"] for row in read_rows(tmp_path / DATABASE_NAME)] == ["a"]
    assert read_traces(tmp_path / TRACES_NAME, 5) == [{"reason": "x"}]


def test_a_folder_that_cannot_be_made_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    writer = UsageWriter(tmp_path / "file" / "below")
    writer.write(lambda store: store.add(shown("a")))
    writer.trace({})
    writer.close(30)


def test_a_locked_log_loses_one_change_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("completion_server.usage_log.store._BUSY_SECONDS", 0.01)
    UsageStore(tmp_path / DATABASE_NAME).close()
    other = sqlite3.connect(tmp_path / DATABASE_NAME)
    writer = UsageWriter(tmp_path)

    def lock(_store: UsageStore) -> None:
        other_thread = sqlite3.connect(tmp_path / DATABASE_NAME, timeout=0.01)
        other_thread.execute("BEGIN IMMEDIATE")
        try:
            _store.add(shown("lost"))
        finally:
            other_thread.close()

    writer.write(lock)
    writer.write(lambda store: store.add(shown("kept")))
    writer.close(30)
    other.close()
    assert [row["key"] for row in read_rows(tmp_path / DATABASE_NAME)] == ["kept"]


def test_traces_are_bounded_and_damage_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    for number in range(100):
        append_trace(path, {"number": number}, max_bytes=200)
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) < 500
    with path.open("a") as stream:
        stream.write("{broken\n")
    assert [trace["number"] for trace in read_traces(path, 4)] == [96, 97, 98, 99]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_traces(tmp_path / "none", 3) == []


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_names, **_options: tmp_path)
    assert state_dir() == tmp_path
    return tmp_path


def run(*arguments: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(app, list(arguments))


def test_stats_shows_plots_and_deletes(state: Path) -> None:
    assert "nothing was suggested" in run("stats").stdout
    fill(state / DATABASE_NAME)
    assert "50%" in run("stats").stdout
    value = json.loads(run("stats", "--json", "--plot", str(state / "p.svg")).stdout)
    assert [row["language"] for row in value["languages"]] == ["all", "python", "go"]
    assert (state / "p.svg").exists()
    append_trace(state / TRACES_NAME, {})
    assert run("stats", "--clear").stdout == "deleted\n"
    assert [path.name for path in state.iterdir()] == ["p.svg"]
    assert run("stats", "--clear").stdout == "there was no log\n"


def test_waste_is_of_requests_that_asked_the_model() -> None:
    asked = {"num_generated_tokens": 10, "num_wasted_tokens": 4, "num_shown_chars": 8}
    hidden = {"num_generated_tokens": 6, "num_wasted_tokens": 6, "num_shown_chars": 0}
    recalled = {"num_shown_chars": 100, "from_completion_cache": True}
    waste = decoding_waste([asked, hidden, recalled])
    assert (waste["num_requests"], waste["num_generated_tokens"], waste["num_wasted_tokens"]) == (2, 16, 10)
    assert waste["wasted_tokens_per_shown_char"] == 10 / 8
    assert decoding_waste([hidden])["wasted_tokens_per_shown_char"] is None


def test_explain_says_what_was_hidden_and_why(state: Path) -> None:
    assert "no request" in run("explain").stdout
    trace = {"at": now(), "uri": "file:///w/a.py", "line": 2, "column": 4, "num_items": 0, "total_ms": 12.3}
    trace |= {"reason": "probably wrong", "gate_score": 0.1, "gate_threshold": 0.25, "is_hidden": True}
    trace |= {
        "num_prompt_tokens": 90,
        "num_cached_tokens": 80,
        "stage_ms": {"queue": 1.0},
        "filters_fired": ["cut"],
    }
    append_trace(state / TRACES_NAME, trace)
    output = run("explain").stdout
    assert "a.py:3:5  nothing shown: probably wrong, 12 ms" in output
    assert "score 0.10, threshold 0.25: hidden" in output
    assert "90 tokens, 80 cached" in output
    assert json.loads(run("explain", "--json").stdout) == [trace]


@pytest.mark.parametrize(
    "trace", [{}, {"at": "x", "line": None, "stage_ms": 3, "filters_fired": 1, "gate_score": "y"}]
)
def test_an_odd_trace_is_explained_as_far_as_it_goes(trace: dict[str, object]) -> None:
    assert "nothing shown: unknown" in explain_command.headline(trace)
    assert explain_command.describe(trace) == {}
