"""Ignore files: git's rules, the nearest first, and names that stand for secrets whatever they say."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from completion_server.context.ignore import IgnoreRules
from tests.support.workspaces import write_files


@pytest.fixture
def rules(tmp_path: Path) -> IgnoreRules:
    write_files(
        tmp_path,
        {
            ".gitignore": "*.log\n/gen/\n",
            ".completionignore": "private/\n*.sql\n!schema.sql\n",
            "sub/.gitignore": "!keep.log\n",
            "sub/.completionignore": b"\xff\xfe\n!\n[\nlocal_*.py\n",
        },
    )
    return IgnoreRules(tmp_path)


@pytest.mark.parametrize("path", ["private/a.py", "x/private/deep/a.py", "a.sql", "sub/local_1.py"])
def test_no_completions_where_completionignore_says_so(rules: IgnoreRules, path: str) -> None:
    assert rules.reason_for_document(path) == "the file is listed in .completionignore"
    assert rules.is_hidden(path)


@pytest.mark.parametrize("path", ["a.py", "schema.sql", "gen/a.py", "a.log", "local_1.py", "private.py"])
def test_completions_elsewhere_also_where_git_looks_away(rules: IgnoreRules, path: str) -> None:
    assert rules.reason_for_document(path) is None


@pytest.mark.parametrize("path", [".env", "x/.env.production", "id_rsa", "deploy/server.key", "secrets.yaml"])
def test_files_of_secrets(rules: IgnoreRules, path: str) -> None:
    assert "secrets" in (rules.reason_for_document(path) or "")
    assert rules.is_hidden(path)


@pytest.mark.parametrize(
    ("path", "is_hidden"),
    [
        ("a.log", True),
        ("sub/a.log", True),
        ("sub/keep.log", False),
        ("gen/a.py", True),
        ("sub/gen/a.py", False),
        ("node_modules/x/a.js", True),
        (".venv/a.py", True),
        ("src/a.py", False),
        (".env.example", False),
    ],
)
def test_what_others_may_not_see(rules: IgnoreRules, path: str, is_hidden: bool) -> None:
    assert rules.is_hidden(path) == is_hidden


def test_a_changed_file_counts_without_being_told(tmp_path: Path) -> None:
    now = 0.0
    rules = IgnoreRules(tmp_path, lambda: now)
    assert rules.reason_for_document("a.py") is None
    write_files(tmp_path, {".completionignore": "a.py\n"})
    now = 10.0
    assert rules.reason_for_document("a.py") is not None
    (tmp_path / ".completionignore").unlink()
    now = 20.0
    assert rules.reason_for_document("a.py") is None


def clocked(root: Path) -> tuple[IgnoreRules, list[float]]:
    now = [0.0]
    return IgnoreRules(root, lambda: now[0]), now


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", [".gitignore", ".completionignore"])
@pytest.mark.parametrize("kind", ["fifo", "zero", "descriptor", "directory", "loop", "dangling", "socket"])
def test_what_is_no_regular_file_is_no_ignore_file(tmp_path: Path, name: str, kind: str) -> None:
    file = tmp_path / name
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    elif kind == "socket":
        os.mknod(file, stat.S_IFSOCK | 0o600)
    else:
        targets = {"zero": "/dev/zero", "descriptor": "/proc/self/fd/3", "loop": name, "dangling": "nowhere"}
        file.symlink_to(targets[kind])
    rules = IgnoreRules(tmp_path)
    assert rules.reason_for_document("src/a.py") is None
    assert not rules.is_hidden("src/a.py")


@pytest.mark.parametrize("content", ["x\n" * 600_000, "x" * 501 + "\n", "x\n" * 10_001])
def test_a_completionignore_that_is_too_much_excludes_everything(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_files(tmp_path, {"sub/.completionignore": content, "sub/.gitignore": content})
    rules, now = clocked(tmp_path)
    for now[0] in (0.0, 10.0, 20.0):
        assert rules.reason_for_document("sub/a.py") is not None
        assert rules.reason_for_document("a.py") is None
        rules.is_hidden("sub/b.py")
    assert len([record for record in caplog.records if "excluded" in record.message]) == 1


def test_a_link_out_of_the_workspace_is_not_followed(tmp_path: Path) -> None:
    write_files(tmp_path, {"outside": "a.py\n", "inside/rules": "b.py\n", "inside/x": ""})
    (tmp_path / "inside" / ".completionignore").symlink_to("../outside")
    rules = IgnoreRules(tmp_path / "inside")
    assert rules.reason_for_document("b.py") is not None  # it may have said so
    (tmp_path / "inside" / ".completionignore").unlink()
    (tmp_path / "inside" / ".completionignore").symlink_to("rules")
    rules = IgnoreRules(tmp_path / "inside")
    assert rules.reason_for_document("b.py") is not None
    assert rules.reason_for_document("a.py") is None


def test_ignore_files_above_the_workspace_count(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            ".completionignore": "secret_*.py\n/repo/app/private/\n",
            ".gitignore": "*.py\n",
            "repo/.git/HEAD": "",
            "repo/.gitignore": "*.log\n/app/generated/\n",
            "repo/.completionignore": "*.sql\n",
            "repo/app/a.py": "",
        },
    )
    rules = IgnoreRules(tmp_path / "repo" / "app")
    assert rules.reason_for_document("secret_a.py") is not None
    assert rules.reason_for_document("private/a.py") is not None
    assert rules.reason_for_document("sub/a.sql") is not None
    assert rules.reason_for_document("a.py") is None
    assert rules.is_hidden("generated/a.py")
    assert rules.is_hidden("a.log")
    assert not rules.is_hidden("a.py"), "a .gitignore above the repository does not count"
    assert rules.hides_directory("generated")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_above_the_workspace_does_not_count(tmp_path: Path) -> None:
    write_files(tmp_path, {".completionignore": "*.py\n", "work/.completionignore": "b.py\n"})
    for file in (tmp_path / ".completionignore", tmp_path / "work" / ".completionignore"):
        os.chown(file, 12345, 12345)
    rules = IgnoreRules(tmp_path / "work")
    assert rules.reason_for_document("a.py") is None
    assert rules.reason_for_document("b.py") is not None
