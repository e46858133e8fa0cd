"""Files that the user did not name: only regular, bounded ones below the root are read, and nothing blocks."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from completion_server.safe_files import FileRefusedError, read_bounded, stat_regular


def test_a_file_of_the_largest_size_is_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 3_000_000)
    assert read_bounded(file, 3_000_000) == b"x" * 3_000_000
    assert stat_regular(file).st_size == 3_000_000


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert read_bounded(tmp_path / "file", 10) == b""


def test_a_larger_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    with pytest.raises(FileRefusedError, match="larger than 4 bytes"):
        read_bounded(tmp_path / "file", 4)


def test_a_missing_file_is_told_from_a_refused_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "file", 10)
    with pytest.raises(FileNotFoundError):
        stat_regular(tmp_path / "file")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefusedError, match="not a regular file"):
        read_bounded(tmp_path, 10)


def test_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for read in (lambda: read_bounded(tmp_path / "fifo", 10), lambda: stat_regular(tmp_path / "fifo")):
        with pytest.raises(FileRefusedError, match="not a regular file"):
            read()


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(FileRefusedError):
            read_bounded(Path("socket"), 10)


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "/proc/self/fd/0", "/proc/self/mem"])
def test_a_link_to_a_device_or_a_descriptor_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(OSError):  # noqa: PT011 - what stands behind the descriptor differs
        read_bounded(tmp_path / "link", 1000, root=tmp_path)


def test_a_link_below_the_root_is_followed_and_one_out_of_it_is_not(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_text("inside")
    (tmp_path / "outside").write_text("outside")
    (root / "inner").symlink_to("file")
    (root / "outer").symlink_to(tmp_path / "outside")
    assert read_bounded(root / "inner", 100, root=root) == b"inside"
    assert read_bounded(root / "outer", 100) == b"outside"
    with pytest.raises(FileRefusedError, match="outside of"):
        read_bounded(root / "outer", 100, root=root)


def test_a_linked_directory_out_of_the_root_is_refused(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (elsewhere / "file").write_text("outside")
    (root / "directory").symlink_to(elsewhere)
    with pytest.raises(FileRefusedError):
        read_bounded(root / "directory" / "file", 100, root=root)


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("text")
    (tmp_path / "link").symlink_to("real")
    assert read_bounded(tmp_path / "link" / "file", 100, root=tmp_path / "link") == b"text"


def test_a_loop_of_links_and_an_impossible_name_are_errors_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for name in ("a", "null\0character", "x" * 5000):
        with pytest.raises(OSError):  # noqa: PT011 - each system has its own
            read_bounded(tmp_path / name, 100)
