"""A workspace's file, whatever a repository puts in its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from completion_server.config import WORKSPACE_FILE_NAME, Settings, load_settings
from completion_server.workspace_file import MAX_BYTES, read_workspace_file


def written(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def linked(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def linked_outside(path: Path) -> None:
    outside = path.parent.parent / "outside.toml"
    outside.write_text("enabled = false\n")
    path.symlink_to(outside)


HOSTILE: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "link to /dev/zero": linked("/dev/zero"),
    "link to stdin": linked("/proc/self/fd/0"),
    "link to a device": linked("/dev/null"),
    "link out of the workspace": linked_outside,
    "link to itself": linked(WORKSPACE_FILE_NAME),
    "folder": Path.mkdir,
    "number of 5,000 digits": written(b"[generation]\nseed = " + b"9" * 5000),
    "fraction of 60,000 digits": written(b"[generation]\ntemperature = 1." + b"9" * 60_000 + b"_"),
    "arrays in arrays": written(b"x = " + b"[" * 60_000),
    "closed arrays in arrays": written(b"x = " + b"[" * 30_000 + b"]" * 30_000),
    "tables in tables": written(b"x = " + b"{a=" * 20_000),
    "dotted key": written(b"a" + b".a" * 30_000 + b" = 1"),
    "dotted table": written(b"[a" + b".a" * 30_000 + b"]"),
    "too long": written(b"#" * (MAX_BYTES + 1)),
    "invalid UTF-8": written(b'x = "\xff"'),
    "UTF-16": written("x = 1\n".encode("utf-16")),
    "null character": written(b"\x00"),
    "key said twice": written(b"enabled = true\nenabled = false"),
    "not closed": written(b"[model"),
    "no time": written(b"x = 2026-99-99T99:99:99Z"),
    "merge conflict": written(b"<<<<<<< HEAD\nenabled = false\n=======\n>>>>>>> x\n"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_is_there_ends_in_one_clear_message(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "workspace"
    folder.mkdir()
    HOSTILE[kind](folder / WORKSPACE_FILE_NAME)
    file = read_workspace_file(folder)
    assert f"{WORKSPACE_FILE_NAME} is ignored: " in file.problem
    assert len(file.problem) < 1000
    assert file.options is None
    loaded = load_settings(file, {"model": {"name": "mine"}}, {})
    assert loaded.settings.model.name == "mine"
    assert loaded.warnings == (file.problem,)


@pytest.mark.parametrize(
    "content",
    [
        b"enabled = 0x" + b"f" * 60_000,
        b"[model]\nname = 2026-12-01",
        b"[model]\nname = 12:00:00",
        b"[generation]\ntemperature = nan",
        b"[generation]\ntemperature = -inf",
        b"[generation]\nseed = 0x" + b"f" * 60_000,
        b"model = [[]]",
        b"model.name.x = 1",
        b'"" = 1',
        b'"\\u0000" = 1',
        b"[[generation]]\n[[generation]]",
    ],
    ids=range(11),
)
def test_odd_values_are_reported_one_by_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / WORKSPACE_FILE_NAME).write_bytes(content + b"\n")
    loaded = load_settings(read_workspace_file(tmp_path), None, {})
    assert loaded.settings == Settings()
    (warning,) = loaded.warnings
    assert WORKSPACE_FILE_NAME in warning
    assert len(warning) < 300


def test_no_file_and_no_folder_are_no_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        file = read_workspace_file(folder)
        assert (file.digest, file.options, file.problem) == ("", None, "")


def test_a_link_within_the_workspace_is_followed(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "real.toml").write_text("enabled = false\n")
    (tmp_path / WORKSPACE_FILE_NAME).symlink_to("config/real.toml")
    assert read_workspace_file(tmp_path).options == {"enabled": False}


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / WORKSPACE_FILE_NAME
    path.write_text("enabled = false\n")
    first = read_workspace_file(tmp_path)
    path.write_text("enabled = false \n")
    assert read_workspace_file(tmp_path).digest != first.digest
    path.write_text("enabled = false\n")
    assert read_workspace_file(tmp_path) == first
