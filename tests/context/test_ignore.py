"""Ignore files: git's rules, the nearest first, and names that stand for secrets whatever they say."""

from __future__ import annotations

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
