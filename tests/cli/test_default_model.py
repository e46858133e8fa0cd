"""The newcomer's commands as they are run, with the model in the box."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.default_model


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "completion_server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=280, check=False)


def test_the_demo_shows_completions(monkeypatch: pytest.MonkeyPatch) -> None:
    # A limit that a loaded machine keeps too; how fast it is, bench latency says.
    monkeypatch.setenv("COMPLETION_SERVER_LATENCY_AUTOMATIC_TIMEOUT_MS", "30000")
    result = run("demo", "--fast", "--seconds", "5", "--threads", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "keys with a suggestion" in result.stdout
    assert "\x1b" not in result.stdout


def test_complete_finishes_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(
        "import json\n\n\ndef load(path):\n    with open(path) as file:\n        return json.\n", "utf-8"
    )
    result = run("complete", f"{path}:6", "--json", "--timeout-ms", "60000", "--max-tokens", "8")
    assert result.returncode == 0, result.stderr
    value = json.loads(result.stdout)
    assert value["items"][0]["text"].startswith("load")
    assert value["trace"]["num_prompt_tokens"] > 10


def test_complete_says_what_took_the_time(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("total = \n", "utf-8")
    result = run("complete", f"{path}:1", "--timeout-ms", "1")
    assert result.returncode == 0, result.stderr
    assert "no suggestion (the time limit was reached: " in result.stdout
    assert "--timeout-ms allows more" in result.stdout
