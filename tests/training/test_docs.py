"""The commands of docs/training.md, run as they are written, on small data."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from completion_server.cli import train_command
from completion_server.cli.app import app
from completion_server.config import Settings
from tests.training.test_personalise import make_repository

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Every command line of the page that starts this program; the first, as personalising needs a model, last."""
    lines = [
        line
        for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8"))
        if kind == "sh"
        for line in text.splitlines()
    ]
    own = [shlex.split(line) for line in lines if line.startswith("completion-server ")]
    return own[1:] + own[:1]


def test_every_command_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    make_repository(tmp_path / "my-repo")
    make_repository(tmp_path / "other-repo", 6, first=50)
    recipe = next(text for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if kind == "toml")
    Path("recipe.toml").write_text(recipe, encoding="utf-8")
    real = train_command._model_directory

    def model_directory(model: str, *, offline: bool) -> Path:
        """The model in the box is not fetched for this."""
        return Path("runs/tiny/model") if model == Settings().model.name else real(model, offline=offline)

    monkeypatch.setattr(train_command, "_model_directory", model_directory)
    for _, *arguments in commands():
        if "personalise" in arguments:
            arguments += ["--steps", "2", "--holes", "2"]
        if arguments[0] == "train" and arguments[1] in {"adapt", "pretrain", "personalise"}:
            arguments += ["--threads", "1"]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, (arguments, result.output)
    assert len(commands()) == 9
    assert (tmp_path / "runs" / "to-publish" / "README.md").is_file()
    assert (tmp_path / "runs" / "mine" / "verdict.json").is_file()
