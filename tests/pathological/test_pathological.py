"""Texts that are made to be slow: no stage takes long for any of them, and no other thread waits for long."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest

from completion_server.candidates import stop_rules_for
from completion_server.context.files import source_of_text
from completion_server.context.imports import find_imports
from completion_server.context.place import look_at, types_of
from completion_server.context.windows import Neighbours, WindowFinder
from completion_server.document import Document, LineBuffer, Position
from completion_server.engine.stopping import find_stop
from completion_server.lexicon import lexicon_of, scan
from completion_server.postprocess.pipeline import postprocess
from completion_server.postprocess.place import Place
from completion_server.request import TriggerKind, WorkspaceView
from completion_server.syntax import count_errors, parse_within
from completion_server.trigger import decide_trigger

MAX_SECONDS = 1.0
"""Of processor time, for one stage. Each fault that was found took more than 5 s."""
PIECES = [
    "#include <a>", "#include <a>\n", "eyJ-", "(", "[", "{", "<", "((", "{\n", "(\n", "'", "\"", "`",
    "\"\"\"", "'''", "${", "f'{", "/*", "//", "#", "<!--", "<a>", "<a ", "</a>", "\\", "a.", "a.b(",
    "a = b(", "x: int = ", "def f(", "def f():\n", "class A:\n", "if x:\n", "else ", "import a\n",
    "from a import (", "import {", "use a::{", "a::", "a->b", "a<b>", "=> ", "lambda: ", "@a\n", "    ",
    "\t", " \n", "\r", ";", ",", "a,", "0", "a", "a b ", "\u00e9", "\U0001f600", "-- ", "=begin\n",
    "<<EOF\n", "r#\"", "struct A { ", "fn f() {", "func f() {", "public ", "template <", "#define A ",
    "```\n", "- ", "> ", "&&", "!", "?:", "a?b:", "...", "*", "**", "$(", "case x:", "end\n", "do\n",
    "then\n",
]  # fmt: skip
LANGUAGES = ["python", "typescript", "typescriptreact", "cpp", "rust", "go", "java", "ruby", "html", "yaml",
             "markdown", "shellscript", "unknown", "csharp", "php"]  # fmt: skip


def stages_of(text: str, language_id: str) -> dict[str, Callable[[], object]]:
    lines = LineBuffer(text).snapshot_lines()
    document = Document("file:///w/a.ts", language_id, 1, lines)
    middle = len(lines) // 2
    position = Position(middle, len(lines[middle].rstrip("\r\n")))
    file_text = text[: 128 * 1024]
    view = WorkspaceView((Document("file:///w/b.ts", language_id, 1, lines),))

    def finish() -> object:
        trigger = decide_trigger(document, position, TriggerKind.INVOKED)
        find_stop(stop_rules_for(trigger, document, position), text[:4000])
        place = Place.of(document, position, is_partial=True, is_single_line=False)
        return postprocess(text[:2000], place)

    return {
        "trigger": lambda: decide_trigger(document, position, TriggerKind.AUTOMATIC),
        "scan": lambda: scan(lexicon_of(language_id), text[:12_000]),
        "errors": lambda: count_errors(language_id, text[:12_000]),
        "finish": finish,
        "imports": lambda: find_imports(text[:16_000], language_id),
        "index": lambda: source_of_text(file_text, "a.ts", language_id, ("stamp",)),
        "look": lambda: [
            types_of(each.steps, document, position) for each in look_at(document, position).qualifiers
        ],
        "windows": lambda: WindowFinder().find(document, position, view, Neighbours(None, None, []), 4000),
    }


def slow_stages(text: str, language_id: str) -> list[str]:
    slow = []
    for name, stage in stages_of(text, language_id).items():
        began = time.thread_time()
        stage()
        elapsed = time.thread_time() - began
        if elapsed > MAX_SECONDS:
            slow.append(f"{name} of {language_id} {text[:20]!r} * {len(text)}: {elapsed:.1f} s")
    return slow


@pytest.mark.timeout(600)
def test_repeated_pieces() -> None:
    slow: list[str] = []
    for number, piece in enumerate(PIECES):
        text = piece * (100_000 // len(piece))
        for language_id in (LANGUAGES[number % len(LANGUAGES)], LANGUAGES[(number * 7 + 3) % len(LANGUAGES)]):
            slow += slow_stages(text, language_id)
    assert slow == []


@pytest.mark.parametrize("seed", range(12))
def test_mixtures(seed: int) -> None:
    rng = random.Random(seed)
    chosen = rng.sample(PIECES, rng.choice([2, 3, 6]))
    text = "".join(rng.choice(chosen) * rng.choice([1, 1, 2, 50]) for _ in range(4000))[:100_000]
    language_id = rng.choice(LANGUAGES)
    assert slow_stages(text, language_id) == []


def test_a_grammar_that_takes_quadratic_time_is_stopped_and_not_tried_again() -> None:
    data = b"#include <a>\n" * 9000  # 22 s
    began = time.thread_time()
    assert parse_within("typescript", data, 30) is None
    assert parse_within("typescript", data, 30) is None
    assert time.thread_time() - began < 2
    assert parse_within("typescript", b"const a = 1;\n", 30) is not None


def test_other_threads_run_while_a_slow_text_is_parsed() -> None:
    done = threading.Event()
    parser = threading.Thread(
        target=lambda: (parse_within("typescript", b"#include <b>\n" * 9000, 1500), done.set())
    )
    parser.start()
    num_turns = 0
    while not done.is_set():
        num_turns += 1
        time.sleep(0.001)  # gives up the interpreter lock
    parser.join()
    assert num_turns > 30
