"""While a text that is dear to read is open, asked about and indexed, all other messages are answered."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.raw_client import RawClient, insertion

_SERVICE = (sys.executable, "-m", "tests.support.scripted_service")
_MAX_SECONDS = 2.0  # generous: what it was before took 3 to 30 s
_NUM_PROBES = 40


def _varied(line: str, num_lines: int) -> str:
    return "".join(line.format(hashlib.sha256(str(each).encode()).hexdigest()[:9]) for each in range(num_lines))


_TEXTS = {
    "include.ts": ("typescript", "#include <a>\n" * 9_000),
    "varied.ts": ("typescript", _varied("#include <{}>\n", 6_000)),
    "generics.java": ("java", "a<b<" * 30_000),
    "signs.scala": ("scala", "本" * 40_000),
    "hash.swift": ("swift", "#" * 100_000),
    "open.py": ("python", "f(" * 60_000),
    "token.js": ("javascript", "eyJ-" * 30_000),
    "line.json": ("json", '{"a": [1, "b"]}, ' * 300_000),
    "line.md": ("markdown", "word 本 😀 " * 500_000),
    "line.txt": ("plaintext", "a" * 5_000_000),
    "spaces.rs": ("rust", ("impl " + " " * 4_000 + "for\n") * 20),
    "lambda.py": ("python", ("lambda " * 700 + ":\n") * 20),
}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for name, (_, text) in _TEXTS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "small.py").write_text("def small():\n    return 1\n")
    return tmp_path


@pytest.mark.parametrize("name", _TEXTS)
def test_other_messages_do_not_wait(name: str, workspace: Path, start_client: Callable[..., RawClient]) -> None:
    language_id, text = _TEXTS[name]
    client = start_client(*_SERVICE).ready(rootUri=workspace.as_uri())
    slow, small = (workspace / name).as_uri(), (workspace / "small.py").as_uri()
    client.open("x = \n", small)
    assert client.items(client.ask(0, 4, uri=small)) == ["answer()"]
    client.open(text, slow, language=language_id)
    client.sync()  # the text itself has to be decoded
    line = text.count("\n", 0, len(text) // 2)
    column = len(text.split("\n")[line]) // 2
    waits = []
    for number in range(_NUM_PROBES):
        if number % 4 == 0:
            client.change(number + 2, insertion(line, column, "x"), uri=slow)
            client.ask(line, column + 1, uri=slow, trigger=1 + number % 8 // 4)
        began = time.perf_counter()
        client.status()
        waits.append(time.perf_counter() - began)
    assert max(waits) < _MAX_SECONDS
    began = time.perf_counter()
    assert client.items(client.ask(0, 4, uri=small, trigger=1)) == ["answer()"]
    assert time.perf_counter() - began < 2 * _MAX_SECONDS
    assert client.leave() == 0
    print(f"{name}: longest wait {max(waits) * 1000:.1f} ms")  # noqa: T201 - the figure of the documentation


@pytest.mark.parametrize("char", ["a", "é", "本", "😀"])
@pytest.mark.parametrize("trigger", [1, 2])
def test_in_a_line_of_5_mb_an_item_stands_at_the_cursor(
    char: str, trigger: int, start_client: Callable[..., RawClient]
) -> None:
    client = start_client(*_SERVICE).ready()
    width = len(char.encode("utf-16-le")) // 2
    client.open((char + " ") * 2_500_000 + "\n", language="plaintext")
    unit = 1_000_000 * (width + 1) + width
    client.change(2, insertion(0, unit, "y"))
    reply: dict[str, Any] = client.reply(client.ask(0, unit + 1, trigger=trigger))
    place = {"line": 0, "character": unit + 1}
    assert [item["range"] for item in reply["result"]["items"]] == [{"start": place, "end": place}]
    assert client.leave() == 0
