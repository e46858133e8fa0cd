from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from completion_server.cli.edited_file import EditedFile
from completion_server.errors import DocumentError


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"one\ntwo\n",
        b"one\r\ntwo\r\n",
        b"no end",
        b"mixed\r\nends\nhere\r",
        b"\xef\xbb\xbfwith mark\r\n",
        "tab\tand ünïcode 🎉\n".encode(),
        b"form\x0cfeed\n",
    ],
)
def test_an_unedited_save_changes_no_byte(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    file = EditedFile(path)
    file.save(file.text)
    assert path.read_bytes() == data


def test_new_lines_end_as_the_others_do(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"one\r\ntwo\r\n")
    file = EditedFile(path)
    assert file.text == "one\ntwo\n"
    file.save("one\nnew\ntwo\n")
    assert path.read_bytes() == b"one\r\nnew\r\ntwo\r\n"


def test_reading_touches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new.py"
    file = EditedFile(path)
    assert (file.is_new, file.text, path.exists()) == (True, "", False)
    file.save("x = 1\n")
    assert path.read_bytes() == b"x = 1\n"
    assert not file.has_changed_on_disk
    assert [entry.name for entry in tmp_path.iterdir()] == ["new.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and links")
def test_permissions_and_links_survive(tmp_path: Path) -> None:
    path, link = tmp_path / "run.sh", tmp_path / "link.sh"
    path.write_text("echo\n", encoding="utf-8")
    path.chmod(0o750)
    link.symlink_to(path)
    EditedFile(link).save("echo hello\n")
    assert link.is_symlink()
    assert path.read_text(encoding="utf-8") == "echo hello\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_a_failed_save_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_text("old\n", encoding="utf-8")
    file = EditedFile(path)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(DocumentError, match="No space left"):
        file.save("new\n")
    assert path.read_text(encoding="utf-8") == "old\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.py"]


def test_a_change_by_someone_else_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("old\n", encoding="utf-8")
    file = EditedFile(path)
    assert not file.has_changed_on_disk
    path.write_text("longer than before\n", encoding="utf-8")
    assert file.has_changed_on_disk


def test_what_cannot_be_edited_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(b"caf\xe9")
    with pytest.raises(DocumentError, match="not UTF-8"):
        EditedFile(tmp_path / "latin.py")
    with pytest.raises(DocumentError, match="directory"):
        EditedFile(tmp_path)
    with pytest.raises(DocumentError, match="no directory"):
        EditedFile(tmp_path / "missing" / "a.py")
