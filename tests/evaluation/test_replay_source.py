from __future__ import annotations

from pathlib import Path

import pytest

from completion_server.document import split_lines
from completion_server.errors import DocumentError
from completion_server.evaluation.replay.growth import lengthened, shortened
from completion_server.evaluation.replay.plan import make_session
from completion_server.evaluation.replay.source import SourceFile, read_sources

LONG = "def part():\n    return some(value, other)\n\n" * 30


def test_the_standard_library_is_there() -> None:
    sources = read_sources()
    assert len(sources) > 5
    assert all(source.text.count("\n") >= 500 and source.language_id == "python" for source in sources)


def test_a_directory_gives_its_code_files(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "b.py").write_text(LONG)
    (tmp_path / "a.js").write_text(LONG)
    (tmp_path / "short.py").write_text("x = 1\n")
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe" * 500)
    (tmp_path / "notes.txt").write_text(LONG)
    names = [(source.name, source.language_id) for source in read_sources(tmp_path)]
    assert names == [("a.js", "javascript"), ("pack/b.py", "python")]
    assert [source.name for source in read_sources(tmp_path / "a.js")] == ["a.js"]


def test_nothing_to_type_is_said(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no source file"):
        read_sources(tmp_path)
    prose = SourceFile("prose.txt", "plaintext", "word\n" * 100)
    with pytest.raises(DocumentError, match="'function'"):
        make_session("function", (prose,), 20, 1)


def test_growth_keeps_what_is_around_the_place() -> None:
    source = SourceFile("a.py", "python", "".join(f"def f{n}():\n    return call({n}, 1)\n\n" for n in range(400)))
    short = shortened(make_session("function", (source,), 10, 1), 500)
    long = lengthened(short, (source,), 20_000)
    assert len(split_lines(short.text)) == 501
    assert 19_000 < len(split_lines(long.text)) < 21_000
    (here,), (there,) = short.places, long.places
    assert (there.position.line - here.position.line) % 960 == 0
    around = split_lines(short.text)[here.position.line - 200 : here.position.line + 200]
    assert split_lines(long.text)[there.position.line - 200 : there.position.line + 200] == around
    assert short.text.strip("\n") in long.text
