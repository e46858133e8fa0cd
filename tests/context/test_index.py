"""The index: what is read and what never is, kept within its bounds, fresh after every kind of change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from completion_server.context.files import MAX_FILE_BYTES
from completion_server.context.index import IndexLimits, WorkspaceIndex
from completion_server.document import Document
from tests.support.workspaces import write_files


def build(root: Path, limits: IndexLimits | None = None) -> WorkspaceIndex:
    index = WorkspaceIndex(root, limits)
    finish(index)
    return index


def finish(index: WorkspaceIndex) -> None:
    while index.work():
        pass


def test_source_files_are_found_and_outlined(tmp_path: Path) -> None:
    index = build(
        write_files(tmp_path, {"a.py": "def f(): pass\n", "p/b.go": "package p\n", "README.md": "# x\n"})
    )
    assert index.num_files == 2
    source = index.get("a.py")
    assert source is not None
    assert list(source.by_name) == ["f"]
    assert list(index.files_in("p")) == list(index.files_named("b.go")) == ["p/b.go"]
    assert list(index.directories_named("p")) == ["p"]


def test_what_is_never_read(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "node_modules/m/a.js": "x = 1\n",
        ".venv/lib/a.py": "x = 1\n",
        ".git/a.py": "x = 1\n",
        "build/a.py": "x = 1\n",
        ".gitignore": "ignored.py\n",
        ".completionignore": "hidden/\n",
        "ignored.py": "x = 1\n",
        "hidden/a.py": "x = 1\n",
        "binary.py": b"x = 1\0\n",
        "latin.py": "x = 'é'\n".encode("latin-1"),
        "packed.js": "x" * 5000,
        "large.py": "x = 1\n" * MAX_FILE_BYTES,
        "seen.py": "x = 1\n",
    }
    index = build(write_files(tmp_path, files))
    assert index.num_files == 1
    assert index.has_file("seen.py")


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = write_files(tmp_path / "outside", {"b.py": "x = 1\n"})
    root = write_files(tmp_path / "root", {"a.py": "x = 1\n"})
    try:
        os.symlink(root, root / "loop", target_is_directory=True)
        os.symlink(outside / "b.py", root / "b.py")
    except OSError:
        pytest.skip("no links here")
    assert build(root).num_files == 1


def test_secrets_are_not_kept(tmp_path: Path) -> None:
    index = build(write_files(tmp_path, {"a.py": 'KEY = "AKIAABCDEFGHIJKLMNOP"\n'}))
    source = index.get("a.py")
    assert source is not None
    assert "AKIA" not in source.text + source.definitions[0].render((), 1000)


def test_the_bounds(tmp_path: Path) -> None:
    root = write_files(tmp_path, {f"{number}.py": "x = 1\n" * 10 for number in range(20)})
    index = build(root, IndexLimits(max_files=8, max_text_chars=200))
    assert index.num_files == 8
    assert 0 < index.num_text_chars <= 200
    assert all(index.get(path).definitions for path in index.files_in(""))  # type: ignore[union-attr]


def test_created_changed_and_deleted_files(tmp_path: Path) -> None:
    index = build(write_files(tmp_path, {"a.py": "def f(): pass\n", "p/b.py": "x = 1\n", "p/q/c.py": "x = 1\n"}))
    write_files(tmp_path, {"a.py": "def g(): pass\n", "d.py": "def h(): pass\n"})
    for path in ("p/b.py", "p/q/c.py"):
        (tmp_path / path).unlink()
    for path in ("a.py", "d.py", "p"):
        index.note_change(path)
    (tmp_path / "p/q").rmdir()
    (tmp_path / "p").rmdir()
    finish(index)
    assert list(index.get("a.py").by_name) == ["g"]  # type: ignore[union-attr]
    assert index.has_file("d.py")
    assert index.num_files == 2
    assert not index.files_in("p")
    assert not index.files_named("b.py")


def test_an_ignore_file_that_appears_hides_what_is_known(tmp_path: Path) -> None:
    now = 0.0
    index = WorkspaceIndex(write_files(tmp_path, {"a.py": "x = 1\n", "b.py": "x = 1\n"}), clock=lambda: now)
    finish(index)
    write_files(tmp_path, {".gitignore": "a.py\n"})
    now = 3.0
    index.note_change(".gitignore")
    finish(index)
    assert not index.has_file("a.py")
    assert index.has_file("b.py")


def test_files_are_looked_for_again_after_a_while_if_somebody_asks(tmp_path: Path) -> None:
    now = 0.0
    index = WorkspaceIndex(write_files(tmp_path, {"a.py": "x = 1\n"}), clock=lambda: now)
    finish(index)
    write_files(tmp_path, {"b.py": "x = 1\n"})
    now = 1000.0
    finish(index)
    assert not index.has_file("b.py")
    index.note_use()
    finish(index)
    assert index.has_file("b.py")


def test_an_open_document_counts_until_it_is_closed(tmp_path: Path) -> None:
    index = build(write_files(tmp_path, {"a.py": "def on_disk(): pass\n", ".gitignore": "secret.py\n"}))
    document = Document.from_text("def unsaved(): pass\n", uri="file:///a.py", language_id="python", version=2)
    index.note_document("a.py", document)
    index.note_document("new.py", document)
    index.note_document("secret.py", document)
    finish(index)
    assert list(index.get("a.py").by_name) == ["unsaved"]  # type: ignore[union-attr]
    assert index.has_file("new.py")
    assert not index.has_file("secret.py")
    index.note_change("a.py")
    index.note_change("new.py")
    finish(index)
    assert list(index.get("a.py").by_name) == ["on_disk"]  # type: ignore[union-attr]
    assert not index.has_file("new.py")
