"""White space that stands before the cursor is not written twice."""

from __future__ import annotations

import pytest

from completion_server.postprocess.indentation import drop_doubled_indent
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("def f():\n    ˇ", "    return 1\n    x", "return 1\n    x"),
        ("def f():\n    ˇ", "return 1", "return 1"),
        ("x = ˇ", "    1", "    1"),
    ],
)
def test_drop_doubled_indent(marked: str, text: str, expected: str) -> None:
    assert drop_doubled_indent(text, place_at(marked)) == expected
