from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from completion_server import __version__
from completion_server.cli import complete_command
from completion_server.cli.app import app
from completion_server.config import Settings
from completion_server.logs import configure_logging
from completion_server.request import Completion, CompletionItem, CompletionRequest, FinishReason

runner = CliRunner()


class ScriptedService:
    """Answers with one fixed text and remembers what it was asked."""

    def __init__(self, settings: Settings, text: str) -> None:
        self.settings = settings
        self.requests: list[CompletionRequest] = []
        self._text = text

    def complete(self, request: CompletionRequest) -> Completion:
        self.requests.append(request)
        items = (CompletionItem(self._text, request.position, request.position),) if self._text else ()
        trace: dict[str, object] = {
            "num_prompt_tokens": 22,
            "num_cached_tokens": 3,
            "num_decode_passes": 8,
            "num_generated_tokens": 9,
            "stage_ms": {"prefill": 20.0, "decode": 90.0},
            "total_ms": 91.5,
        }
        return Completion(items, FinishReason.STOP, trace)


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedService]:
    """The services that were built, in order."""
    built: list[ScriptedService] = []

    def build(settings: Settings, progress: object) -> ScriptedService:
        built.append(ScriptedService(settings, "return 1\n    # done"))
        return built[-1]

    monkeypatch.setattr(complete_command, "build_service", build)
    return built


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.py"
    path.write_text("def one():\n    \n\nprint(one())\n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _quiet_logging() -> object:
    yield
    configure_logging("off")


def test_version() -> None:
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"completion-server {__version__}\n")


def test_all_commands_are_listed() -> None:
    result = runner.invoke(app, ["--help"])
    for name in ("serve", "complete", "demo", "try", "config", "doctor", "bench", "models"):
        assert f" {name} " in result.stdout


def test_complete_shows_the_text_in_place(services: list[ScriptedService], source: Path) -> None:
    result = runner.invoke(app, ["complete", f"{source}:2:5"])
    assert result.exit_code == 0
    assert "2     ⟦return 1\n      # done⟧" in result.stdout
    assert "4 print(one())" in result.stdout
    assert "prompt 22 tokens (3 cached)" in result.stdout
    assert "prefill 20 ms" in result.stdout
    assert "9 new tokens, 10.0 ms each" in result.stdout
    assert "\x1b" not in result.stdout


def test_complete_as_json_is_one_object(services: list[ScriptedService], source: Path) -> None:
    result = runner.invoke(app, ["complete", f"{source}:2", "--json"])
    value = json.loads(result.stdout)
    assert value["items"] == [
        {
            "text": "return 1\n    # done",
            "range": {"start": {"line": 1, "column": 4}, "end": {"line": 1, "column": 4}},
        }
    ]
    assert value["trace"]["num_prompt_tokens"] == 22
    assert value["finish_reason"] == "stop"


def test_options_win_over_the_environment(
    services: list[ScriptedService], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPLETION_SERVER_MODEL_NAME", "from-environment")
    arguments = ["--model", "given", "--offline", "--threads", "3", "--max-tokens", "7", "--automatic"]
    runner.invoke(app, ["complete", f"{source}:2", *arguments])
    settings = services[0].settings
    assert (settings.model.name, settings.model.offline, settings.model.num_threads) == ("given", True, 3)
    assert settings.generation.automatic_max_tokens == 7
    assert services[0].requests[0].trigger.name == "AUTOMATIC"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nothing-here.py:1:1", "there is no file nothing-here.py"),
        ("just-a-name", "is not FILE:LINE:COL"),
    ],
)
def test_own_errors_are_one_line(place: str, message: str) -> None:
    result = runner.invoke(app, ["complete", place])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_debug_adds_the_traceback() -> None:
    result = runner.invoke(app, ["--debug", "complete", "just-a-name"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


def test_a_place_outside_of_the_file_is_said(services: list[ScriptedService], source: Path) -> None:
    result = runner.invoke(app, ["complete", f"{source}:77:1"])
    assert (result.exit_code, services) == (1, [])
    assert "there is no line 77" in result.stderr


def test_an_interrupt_is_quiet(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(settings: object, progress: object) -> ScriptedService:
        raise KeyboardInterrupt

    monkeypatch.setattr(complete_command, "build_service", interrupt)
    result = runner.invoke(app, ["complete", f"{source}:2"])
    assert (result.exit_code, result.stdout) == (130, "")


def test_a_bad_option_is_a_usage_error() -> None:
    assert runner.invoke(app, ["complete", "a.py:1", "--items", "9"]).exit_code == 2
    assert runner.invoke(app, ["complete", "a.py:1", "--log-level", "loud"]).exit_code == 2


def test_starting_imports_nothing_heavy() -> None:
    program = (
        "import sys, completion_server.__main__, completion_server.cli.serve_command;"
        "heavy = {'torch', 'transformers', 'tokenizers', 'numpy', 'huggingface_hub', 'prompt_toolkit'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
