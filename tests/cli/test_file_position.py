from __future__ import annotations

from pathlib import Path

import pytest

from completion_server.cli.file_position import (
    FilePosition,
    language_id_of,
    locate,
    parse_file_position,
    read_document,
)
from completion_server.document import Document, Position
from completion_server.errors import DocumentError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.py:3:5", FilePosition(Path("a.py"), 3, 5)),
        ("a.py:3", FilePosition(Path("a.py"), 3, None)),
        ("a.py:3:5:", FilePosition(Path("a.py"), 3, 5)),
        ("dir/a b.py:12:1", FilePosition(Path("dir/a b.py"), 12, 1)),
        (r"C:\code\a.py:3:5", FilePosition(Path(r"C:\code\a.py"), 3, 5)),
        (r"C:\code\a.py:3", FilePosition(Path(r"C:\code\a.py"), 3, None)),
        ("odd:name.py:3:5", FilePosition(Path("odd:name.py"), 3, 5)),
    ],
)
def test_places_are_read_as_editors_write_them(text: str, expected: FilePosition) -> None:
    assert parse_file_position(text) == expected


@pytest.mark.parametrize("text", ["a.py", "", ":3", "a.py:", "a.py:-3"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="FILE:LINE:COL"):
        parse_file_position(text)


def test_a_file_that_ends_like_a_place_is_found(tmp_path: Path) -> None:
    file = tmp_path / "log:12"
    file.write_text("x", encoding="utf-8")
    assert parse_file_position(f"{file}:1") == FilePosition(file, 1, None)
    assert parse_file_position(f"{file}:1:1") == FilePosition(file, 1, 1)


def test_line_and_column_count_from_one() -> None:
    document = Document.from_text("abc\r\nde")
    path = Path("a.py")
    assert locate(FilePosition(path, 1, 1), document) == Position(0, 0)
    assert locate(FilePosition(path, 1, 4), document) == Position(0, 3)
    assert locate(FilePosition(path, 1), document) == Position(0, 3)
    assert locate(FilePosition(path, 2), document) == Position(1, 2)


@pytest.mark.parametrize(("line", "column"), [(0, 1), (3, 1), (1, 0), (1, 5), (99, None)])
def test_a_place_outside_of_the_text_is_refused(line: int, column: int | None) -> None:
    with pytest.raises(DocumentError, match="there is no"):
        locate(FilePosition(Path("a.py"), line, column), Document.from_text("abc\nde"))


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(b"caf\xe9")
    with pytest.raises(DocumentError, match=r"not UTF-8 text \(byte 3\)"):
        read_document(tmp_path / "latin.py")
    with pytest.raises(DocumentError, match="no file"):
        read_document(tmp_path / "missing.py")
    with pytest.raises(DocumentError):
        read_document(tmp_path)


def test_the_language_comes_from_the_name(tmp_path: Path) -> None:
    (tmp_path / "a.rs").write_bytes(b"\xef\xbb\xbffn main() {}\r\n")
    document = read_document(tmp_path / "a.rs")
    assert (document.language_id, document.lines[0]) == ("rust", "fn main() {}\r\n")
    assert language_id_of(Path("a.unknown")) == "plaintext"
