from __future__ import annotations

from pathlib import Path

import pytest

from completion_server.document import LineBuffer, line_body
from completion_server.errors import DocumentError
from completion_server.evaluation.machine import describe_machine, package_version
from completion_server.evaluation.typed_source import make_typed_text


def test_typing_the_keys_restores_a_file_of_the_asked_length() -> None:
    typed = make_typed_text(1000, 200)
    assert len(typed.keys) == 200
    assert typed.start.line >= 500
    buffer = LineBuffer(typed.text)
    buffer.replace(typed.start, typed.start, "".join(typed.keys))
    lines = buffer.snapshot_lines()
    assert 995 <= len(lines) <= 1001


def test_nothing_follows_the_cursor_on_its_line() -> None:
    typed = make_typed_text(400, 37)
    assert line_body(LineBuffer(typed.text).snapshot_lines()[typed.start.line]) == ""


def test_it_is_the_same_on_every_run() -> None:
    assert make_typed_text(300, 50) == make_typed_text(300, 50)


def test_short_sources_are_repeated(tmp_path: Path) -> None:
    (tmp_path / "typing.py").write_text("def a():\n    return 1\n\n", encoding="utf-8")
    typed = make_typed_text(60, 30, tmp_path)
    assert "".join(typed.keys).startswith("def a():\n    return 1\n")


def test_no_sources_are_said(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no Python sources"):
        make_typed_text(100, 10, tmp_path)
    with pytest.raises(DocumentError, match="no 5000 key presses"):
        make_typed_text(40, 5000)


def test_machine_facts() -> None:
    facts = describe_machine()
    assert facts["usable_cores"]
    assert facts["torch"] == package_version("torch")
    assert package_version("no-such-package-here") == "not installed"
