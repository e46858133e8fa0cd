"""A line that comes a third time in a row ends the text."""

from __future__ import annotations

import pytest

from completion_server.postprocess.repetition import cut_repeated_lines
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("ˇ", "a = 1\na = 1\na = 1\na = 1", "a = 1\na = 1"),
        ("ˇ", "a\n\n\n\nb", "a\n\n\n\nb"),
    ],
)
def test_cut_repeated_lines(marked: str, text: str, expected: str) -> None:
    assert cut_repeated_lines(text, place_at(marked)) == expected
