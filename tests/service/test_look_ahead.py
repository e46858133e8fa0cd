"""Where Enter leads: the end of the line, the document's own line end, its indentation."""

from __future__ import annotations

import pytest

from completion_server.look_ahead import after_enter
from tests.support.marked import parse_marked


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("x = ˇ1\n", "x = 1\nˇ\n"),
        ("  x = 1ˇ", "  x = 1\n  ˇ"),
        ("if x:ˇ\r\ny\r\n", "if x:\r\n    ˇ\r\ny\r\n"),
        ("a {\n  b {ˇ\n}\n", "a {\n  b {\n    ˇ\n}\n"),
        ("func f() {\n\tfor {ˇ\n", "func f() {\n\tfor {\n\t\tˇ\n"),
        ("if 'é😋':ˇ\n", "if 'é😋':\n    ˇ\n"),
        ("ˇ", "\nˇ"),
    ],
)
def test_enter(marked: str, expected: str) -> None:
    document, position = after_enter(*parse_marked(marked))
    wanted, place = parse_marked(expected)
    assert document.text == wanted.text
    assert position == place
