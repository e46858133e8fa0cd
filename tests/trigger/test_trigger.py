"""When to complete and how much; each case is one rule of ``trigger``."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.request import TriggerKind
from completion_server.trigger import CompletionMode, decide_trigger, indent_width
from tests.support.marked import parse_marked

NONE, LINE, BLOCK = CompletionMode.NONE, CompletionMode.LINE, CompletionMode.BLOCK


@pytest.mark.parametrize(
    ("marked", "mode", "reason"),
    [
        ("foˇo = 1\n", NONE, "inside_word"),
        ("ˇé = 1\n", NONE, "inside_word"),
        ("x = ˇ + y\n", LINE, "code_after_cursor"),
        ("print(ˇ)\n", LINE, "inside_line"),
        ("d = {'a': [ˇ]}\n", LINE, "inside_line"),
        ("x = ˇ\n", LINE, "inside_line"),
        ("def f():ˇ\n", BLOCK, "line_opens_block"),
        ("if (x) {ˇ\n", BLOCK, "line_opens_block"),
        ("const f = () =>ˇ\n", BLOCK, "line_opens_block"),
        ("def f():\n    ˇ\n", BLOCK, "after_block_opener"),
        ("def f():\n\n    ˇ\n", BLOCK, "after_block_opener"),
        ("x = 1\nˇ\n", LINE, "empty_line"),
        ("ˇ", LINE, "empty_line"),
        ("if x thenˇ", BLOCK, "line_opens_block"),
        ("authenˇ", LINE, "inside_line"),
    ],
)
def test_automatic(marked: str, mode: CompletionMode, reason: str) -> None:
    trigger = decide_trigger(*parse_marked(marked), TriggerKind.AUTOMATIC)
    assert (trigger.mode, trigger.reason) == (mode, reason)


@pytest.mark.parametrize("marked", ["foˇo = 1\n", "ˇ", "x = ˇ + y\n", "x = 1\nˇ\n", "def f():ˇ"])
def test_invoked_always_tries(marked: str) -> None:
    assert decide_trigger(*parse_marked(marked), TriggerKind.INVOKED).mode is not NONE


def test_block_indent_is_deeper_than_the_line_that_opens_it() -> None:
    trigger = decide_trigger(*parse_marked("class A:\n    def f(self):ˇ"), TriggerKind.AUTOMATIC)
    assert trigger.block_indent == 5
    trigger = decide_trigger(*parse_marked("def f():\nˇ"), TriggerKind.AUTOMATIC)
    assert trigger.block_indent == 1


@pytest.mark.parametrize(
    ("line", "width"), [("x", 0), ("    x", 4), ("\tx", 4), ("  \tx", 4), ("", 0), ("   ", 3)]
)
def test_indent_width(line: str, width: int) -> None:
    assert indent_width(line) == width


@pytest.mark.parametrize(
    ("language_id", "marked", "mode", "reason"),
    [
        ("python", "d = {'a':ˇ\n", LINE, "inside_line"),
        ("python", "f = lambda x:ˇ\n", LINE, "inside_line"),
        ("python", "a[1:ˇ\n", LINE, "inside_line"),
        ("python", "# as follows:ˇ\n", LINE, "inside_comment"),
        ("python", "s = 'as follows:ˇ\n", LINE, "inside_string"),
        ("python", 'def f():\n    """Notes:ˇ\n    """\n', LINE, "inside_string"),
        ("python", 'def f():\n    """Notes.\n\n    if x:ˇ\n', LINE, "inside_string"),
        ("python", "x = foo(ˇ\n", LINE, "inside_line"),
        ("python", "x = foo(\n    ˇ\n", BLOCK, "after_block_opener"),
        ("python", "def f():\n    rˇ\n", LINE, "inside_line"),
        ("python", "def f():ˇ\n    return 1\n", LINE, "block_has_body"),
        ("python", "def f():\n    ˇ\n    return 1\n", LINE, "block_has_body"),
        ("javascript", "// see {ˇ\n", LINE, "inside_comment"),
        ("javascript", "/* a\n * b {ˇ\n */\n", LINE, "inside_comment"),
        ("javascript", "const o = { a:ˇ\n", LINE, "inside_line"),
        ("javascript", "switch (x) {\n  case 1:ˇ\n}\n", BLOCK, "line_opens_block"),
        ("javascript", "const t = `a\n{ˇ\n`;\n", LINE, "inside_string"),
        ("go", "func f() {ˇ\n", BLOCK, "line_opens_block"),
        ("rust", "fn f<'a>() {ˇ\n", BLOCK, "line_opens_block"),
        ("json", '{\n  "a":ˇ\n}\n', LINE, "inside_line"),
        ("yaml", "on:ˇ\n", BLOCK, "line_opens_block"),
        ("markdown", "# Title\n\nˇ", NONE, "prose_not_begun"),
        ("markdown", "As follows:ˇ", LINE, "prose"),
        ("markdown", "```python\ndef f():ˇ\n```\n", BLOCK, "line_opens_block"),
        ("plaintext", "Dear all, we {ˇ", LINE, "prose"),
        ("gitcommit", "ˇ", NONE, "prose_not_begun"),
    ],
)
def test_by_language(language_id: str, marked: str, mode: CompletionMode, reason: str) -> None:
    trigger = decide_trigger(*parse_marked(marked, language_id=language_id), TriggerKind.AUTOMATIC)
    assert (trigger.mode, trigger.reason) == (mode, reason)


@given(
    st.sampled_from(["", "x = 1\n", "def f():\n    ", "x = foo(\n    ", "if a:\n    b\n", "# c\n"]),
    st.text("abc_", min_size=2),
)
def test_no_letter_of_a_word_flips_the_decision(head: str, word: str) -> None:
    modes = {
        decide_trigger(*parse_marked(f"{head}{word[:end]}ˇ\n"), TriggerKind.AUTOMATIC).mode
        for end in range(1, len(word) + 1)
    }
    assert len(modes) == 1


def test_a_first_statement_that_has_been_begun_is_finished_before_the_block() -> None:
    def modes(kind: TriggerKind) -> list[CompletionMode]:
        return [
            decide_trigger(*parse_marked(f"def f(a):\n    {typed}ˇ\n"), kind).mode
            for typed in ("", "r", "return", "return a", "x = foo(", "x = foo(a")
        ]

    assert modes(TriggerKind.AUTOMATIC) == [BLOCK] + [LINE] * 5
    assert modes(TriggerKind.INVOKED) == [BLOCK] * 6


def test_the_cost_does_not_grow_with_the_file() -> None:
    """Only a window is parsed, however long the file is."""
    long = "def f(a):\n    return a\n\n\n" * 12_500
    document, position = parse_marked(long + "def g(a):ˇ\n" + long)
    began = time.perf_counter()
    for _ in range(5):
        decide_trigger(document, position, TriggerKind.AUTOMATIC)
    assert (time.perf_counter() - began) / 5 < 0.05  # a parse of the whole file takes ten times as long
