"""Which documents are excluded, whatever scheme an editor names them by, and without waiting for a disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from completion_server.context.exclusions import Exclusions
from completion_server.context.uri import path_named_by
from tests.support.workspaces import write_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_files(
        tmp_path,
        {
            "repo/.git/HEAD": "",
            "repo/.completionignore": "private/\n*.sql\nr\u00e4um lich.py\n",
            "repo/app/a.py": "",
            "repo/app/private/b.py": "",
            "other/.completionignore": "c.py\n",
        },
    )
    return tmp_path


@pytest.mark.parametrize(
    "uri",
    [
        "file://{0}/repo/app/private/b.py",
        "file://localhost{0}/repo/app/private/b.py",
        "file://{0}/repo/app/private/../private/b.py",
        "file://{0}/repo/app/x/../private/b.py",
        "file://{0}/repo/app/%70rivate/b.py",
        "file://{0}/repo/app/r%C3%A4um%20lich.py",
        "vscode-notebook-cell:{0}/repo/app/private/nb.ipynb#W0sZmlsZQ%3D%3D",
        "vscode-notebook-cell://ssh-remote%2Bhost{0}/repo/app/private/nb.ipynb#X1",
        "untitled:{0}/repo/app/private/new.py",
        "untitled:///{1}/repo/app/private/new.py",
        "vscode-remote://ssh-remote%2Bhost{0}/repo/app/private/b.py",
        "vscode-remote://wsl%2Bdebian{0}/repo/app/a.sql",
        "git:{0}/repo/app/private/b.py?%7B%22path%22%3A%22x%22%2C%22ref%22%3A%22~%22%7D",
        "gitlens://abc{0}/repo/app/private/b.py?ref=1",
        "vscode-vfs://github{0}/repo/app/a.sql",
        "file://{0}/other/c.py",
        "untitled:{0}/other/c.py",
        "file://{0}/repo/.env",
        "untitled:.env",
        "vscode-notebook-cell:{0}/repo/app/.env#1",
    ],
)
@pytest.mark.parametrize("folder", ["repo", "repo/app", "elsewhere", None])
def test_excluded_by_any_name(root: Path, uri: str, folder: str | None) -> None:
    uri = uri.format(root, str(root).lstrip("/"))
    root_uri = None if folder is None else (root / folder).as_uri()
    assert Exclusions().reason_for(uri, root_uri) is not None, uri


@pytest.mark.parametrize(
    "uri",
    ["file://{0}/repo/app/a.py", "untitled:Untitled-1", "git:{0}/repo/app/a.py?x", "", "file:", ":", "untitled:",
     "file://{0}/repo/app/%00", "http://[bad", "file:///" + "a/" * 3000, "inmemory://model/1"],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["repo", None])
def test_not_excluded(root: Path, uri: str, folder: str | None) -> None:
    root_uri = None if folder is None else (root / folder).as_uri()
    assert Exclusions().reason_for(uri.format(root), root_uri) is None


def test_names_that_stand_for_no_path() -> None:
    for uri in ("untitled:Untitled-1", "", "file:relative", "http://[bad", "file:///a%00b"):
        assert path_named_by(uri) is None


@pytest.mark.timeout(20)
def test_a_pipe_in_a_shared_folder_hangs_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".completionignore")
    assert Exclusions().reason_for((tmp_path / "a.py").as_uri(), None) is None


def test_the_event_loop_repeats_what_was_found_and_for_a_while_only(root: Path) -> None:
    now = 0.0
    exclusions = Exclusions(lambda: now)
    uri, root_uri = (root / "repo" / "x.sql").as_uri(), (root / "repo").as_uri()
    with pytest.raises(LookupError):
        exclusions.known_reason_for(uri)
    found = exclusions.reason_for(uri, root_uri)
    assert found is not None
    assert exclusions.known_reason_for(uri) == found
    now = 60.0
    with pytest.raises(LookupError):
        exclusions.known_reason_for(uri)
    exclusions.reason_for(uri, root_uri)
    exclusions.note_changes([(root / "repo" / "a.py").as_uri()])
    assert exclusions.known_reason_for(uri) == found
    for lose in (lambda: exclusions.note_changes([(root / "repo" / ".completionignore").as_uri()]),
                 lambda: exclusions.forget(uri)):  # fmt: skip
        exclusions.reason_for(uri, root_uri)
        lose()
        with pytest.raises(LookupError):
            exclusions.known_reason_for(uri)
