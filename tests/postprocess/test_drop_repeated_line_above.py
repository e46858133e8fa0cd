"""A line that says what the line above says is not shown."""

from __future__ import annotations

import pytest

from completion_server.postprocess.repetition import drop_repeated_line_above
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("x = compute(1)\nx = compˇ\n", "ute(1)", ""),
        ("x = compute(1)\ny = compˇ\n", "ute(1)", "ute(1)"),
        ("end\nˇ\n", "end", "end"),  # short lines come twice in honest code
    ],
)
def test_drop_repeated_line_above(marked: str, text: str, expected: str) -> None:
    assert drop_repeated_line_above(text, place_at(marked)) == expected
