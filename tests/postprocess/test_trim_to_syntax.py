"""Text is cut back to where it adds no syntax error."""

from __future__ import annotations

import pytest

from completion_server.postprocess.syntax_trim import trim_to_syntax
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("x = ˇ\n", "foo(1))", "foo(1)"),
        ("x =ˇ 1\n", "x = ,", "x ="),  # without the comma, and without the space before it
        ("x = ˇ\n", "foo(1", "foo(1"),  # left open: the reader goes on
        ("x = ˇ\n", "1\ny = 2\nz = = 3", "1\ny = 2"),
        ("x = 1\nˇ\n", "y = = 2", ""),
        ("def f(:\n  x\ny = ˇ\n", "2", "2"),  # errors that were there before are not counted
    ],
)
def test_trim_to_syntax(marked: str, text: str, expected: str) -> None:
    assert trim_to_syntax(text, place_at(marked)) == expected
