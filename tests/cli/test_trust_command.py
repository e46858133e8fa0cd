"""``completion-server trust``, and that the other commands heed it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from completion_server import trust
from completion_server.cli.app import app
from completion_server.cli.option import CommonOptions
from completion_server.config import WORKSPACE_FILE_NAME
from completion_server.workspace_file import read_workspace_file

runner = CliRunner()
CONTENT = '[model]\nname = "theirs"\n[generation]\ntemperature = 0.5\n[remote]\nurl = "http://evil"\n'


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of the program, of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "completion-server"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    workspace = tmp_path / "work space"
    workspace.mkdir()
    (workspace / WORKSPACE_FILE_NAME).write_text(CONTENT)
    return workspace


def model_name(folder: Path) -> str:
    return CommonOptions().resolve(folder, {}).settings.model.name


def test_it_shows_what_is_asked_for_and_asks(folder: Path) -> None:
    result = runner.invoke(app, ["trust", str(folder)], input="n\n")
    assert result.exit_code == 1
    assert "model.name = 'theirs'" in result.stdout
    assert "temperature" not in result.stdout
    assert "evil" not in result.stdout
    assert model_name(folder) == "smollm2-135m"
    assert trust.decisions() == ()


@pytest.mark.parametrize(("arguments", "typed"), [([], "y\n"), (["--yes"], ""), (["-y"], "")])
def test_yes_is_kept_until_it_is_taken_back(folder: Path, arguments: list[str], typed: str, state: Path) -> None:
    assert runner.invoke(app, ["trust", str(folder), *arguments], input=typed).exit_code == 0
    assert model_name(folder) == "theirs"
    assert (state / trust.TRUST_NAME).stat().st_mode & 0o777 == 0o600
    assert runner.invoke(app, ["trust", "--list"]).stdout == f"trusted  {folder}\n"
    assert "already" in runner.invoke(app, ["trust", str(folder)]).stdout
    assert runner.invoke(app, ["trust", "--revoke", str(folder)]).exit_code == 0
    assert model_name(folder) == "smollm2-135m"
    assert "was not trusted" in runner.invoke(app, ["trust", "--revoke", str(folder)]).stdout


def test_the_current_folder_is_meant_where_none_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert runner.invoke(app, ["trust", "--yes"]).exit_code == 0
    assert model_name(folder) == "theirs"


def test_it_is_for_one_content_in_one_folder(folder: Path, tmp_path: Path) -> None:
    runner.invoke(app, ["trust", "--yes", str(folder)])
    other = tmp_path / "other"
    other.mkdir()
    (other / WORKSPACE_FILE_NAME).write_text(CONTENT)
    assert model_name(other) == "smollm2-135m"
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert model_name(link) == "theirs", "the same folder by another way"
    (folder / WORKSPACE_FILE_NAME).write_text(CONTENT.replace("theirs", "evil"))
    assert model_name(folder) == "smollm2-135m"


def test_other_commands_say_what_is_ignored_and_how_to_allow_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    warnings = json.loads(runner.invoke(app, ["config", "--json"]).stdout)["warnings"]
    (told,) = [each for each in warnings if "model.name" in each]
    assert f"completion-server trust '{folder}'" in told
    runner.invoke(app, ["trust", "--yes"])
    rows = json.loads(runner.invoke(app, ["config", "--json"]).stdout)["settings"]
    (row,) = [each for each in rows if each["setting"] == "model.name"]
    assert row == {"setting": "model.name", "value": "theirs", "source": WORKSPACE_FILE_NAME}


@pytest.mark.parametrize("content", ["[broken", "enabled = false\n", "nonsense = 1\n", None])
def test_a_file_with_nothing_to_agree_to(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / WORKSPACE_FILE_NAME).write_text(content)
    result = runner.invoke(app, ["trust", str(tmp_path)])
    is_error = content is None or content == "[broken"
    assert result.exit_code == int(is_error)
    assert WORKSPACE_FILE_NAME in (result.stderr if is_error else result.stdout)
    assert trust.decisions() == ()


def test_a_state_folder_that_cannot_be_written_is_a_clear_error(folder: Path, state: Path) -> None:
    state.parent.write_text("a file")
    result = runner.invoke(app, ["trust", "--yes", str(folder)])
    assert result.exit_code == 1
    assert "cannot be kept" in result.stderr


def test_the_oldest_answers_go_first(tmp_path: Path, folder: Path) -> None:
    file = read_workspace_file(folder)
    many = [trust.Decision(f"/{number}", "x", True) for number in range(trust.MAX_DECISIONS)]
    trust._write(many)
    trust.remember(file, is_allowed=True)
    kept = trust.decisions()
    assert (len(kept), kept[0].folder, kept[-1].digest) == (trust.MAX_DECISIONS, "/1", file.digest)


def test_no_half_written_file_is_left_behind(folder: Path, state: Path) -> None:
    (state / trust.TRUST_NAME).mkdir(parents=True)  # in the way of the replacement
    with pytest.raises(OSError, match=trust.TRUST_NAME):
        trust.remember(read_workspace_file(folder), is_allowed=True)
    assert [path.name for path in state.iterdir()] == [trust.TRUST_NAME]


def test_a_folder_with_an_undecodable_name(tmp_path: Path) -> None:
    folder = tmp_path / "\udcff"
    folder.mkdir()
    (folder / WORKSPACE_FILE_NAME).write_text(CONTENT)
    trust.remember(read_workspace_file(folder), is_allowed=True)
    assert model_name(folder) == "theirs"
