"""When to complete and how much; each case is one rule of ``trigger``."""

from __future__ import annotations

import pytest

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
