from __future__ import annotations

import hashlib
import random

import psutil
import pytest

from completion_server.document import PositionEncoding, line_body
from tests.document.strategies import PIECES, Edit, model_edit, model_lines, units
from tests.support.raw_client import URI, RawClient, insertion, replacement


def server_hash(client: RawClient, uri: str = URI) -> str:
    documents = client.status(documents=True)["documents"]
    return str(next(document["sha256"] for document in documents if document["uri"] == uri))


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def test_a_form_feed_does_not_put_the_texts_apart(client: RawClient) -> None:
    """pygls bug 2: its splitlines takes form feeds and U+2028 for line ends; proved with a real editor."""
    client.open("import a\n\f\nclass A:\u2028\n    pass\n")
    client.change(2, insertion(2, 8, "(B)"))
    client.change(3, insertion(3, 8, "  # 😋"), insertion(3, 14, "!"))
    assert server_hash(client) == hash_of("import a\n\f\nclass A:(B)\u2028\n    pass  # 😋!\n")


def test_a_character_past_the_end_of_the_last_line(client: RawClient) -> None:
    """pygls bug 8: a position past the end of a last line without line end loses its last character."""
    client.open("abc")
    client.change(2, insertion(0, 99, "d"))
    assert server_hash(client) == hash_of("abcd")


@pytest.mark.parametrize("encoding", list(PositionEncoding))
def test_random_sessions_keep_both_texts_equal(raw: RawClient, encoding: PositionEncoding) -> None:
    result = raw.initialize({"general": {"positionEncodings": [encoding.value]}})
    assert result["capabilities"]["positionEncoding"] == encoding.value
    generator = random.Random(encoding.value)
    pieces = [piece for piece in PIECES if piece != "\ud83d"] + ["def f(x):", "    return x", "😋😋"]
    text = "".join(generator.choices(pieces, k=200))
    raw.open(text)
    for version in range(2, 200):
        if version % 50 == 0:
            text = "".join(generator.choices(pieces, k=200))
            raw.change(version, {"text": text})
            continue
        changes = []
        for _ in range(generator.randrange(1, 4)):
            start, end = sorted((_place(generator, text, encoding), _place(generator, text, encoding)))
            edit = Edit(start, end if generator.random() < 0.3 else start, "".join(generator.choices(pieces, k=2)))
            changes.append(replacement(edit.start, edit.end, edit.text))
            text = model_edit(text, edit, encoding)
        raw.change(version, *changes)
    assert server_hash(raw) == hash_of(text)
    assert raw.leave() == 0


def _place(generator: random.Random, text: str, encoding: PositionEncoding) -> tuple[int, int]:
    lines = model_lines(text)
    line = generator.randrange(len(lines))
    body = line_body(lines[line])
    return line, units(body[: generator.randrange(len(body) + 1)], encoding)


def test_changes_of_unknown_documents_do_no_harm(client: RawClient) -> None:
    client.change(2, insertion(0, 0, "x"), uri="file:///unknown.py")
    client.notify("textDocument/didClose", {"textDocument": {"uri": "file:///unknown.py"}})
    assert client.status()["num_open_documents"] == 0
    assert client.leave() == 0


def test_20_000_changes_leave_nothing_behind(client: RawClient) -> None:
    """pygls bug 1: one future per notification, kept for ever (38 MiB after 20,000 changes)."""
    client.open("x = 1\n" * 1000)
    for version in range(2, 2002):
        client.change(version, insertion(500, 0, "y"))
    client.sync()
    process = psutil.Process(client.process.pid)
    before = process.memory_info().rss
    for version in range(2002, 20_002):
        client.change(version, insertion(500, 0, "y"), insertion(0, 0, "z"))
    status = client.sync()
    assert status["num_unanswered_requests"] == 0
    assert status["num_unanswered_by_client"] == 0
    assert process.memory_info().rss - before < 20 << 20
    assert server_hash(client) == hash_of(
        "z" * 18_000 + "x = 1\n" + "x = 1\n" * 499 + "y" * 20_000 + "x = 1\n" + "x = 1\n" * 499
    )


def test_notebooks_are_not_ours(client: RawClient) -> None:
    client.notify("notebookDocument/didOpen", {"notebookDocument": {}, "cellTextDocuments": []})
    assert client.status()["num_open_documents"] == 0
