"""Lines that say what the lines above say are not shown."""

from __future__ import annotations

import pytest

from completion_server.postprocess.repetition import drop_repeated_block_above
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("a = 1\nb = 2\nˇ", "a = 1\nb = 2", ""),
        ("a = 1\nb = 2\nˇ", "a = 1\nb = 3", "a = 1\nb = 3"),
    ],
)
def test_drop_repeated_block_above(marked: str, text: str, expected: str) -> None:
    assert drop_repeated_block_above(text, place_at(marked)) == expected
