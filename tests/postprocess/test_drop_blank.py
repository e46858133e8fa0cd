"""White space alone is nothing."""

from __future__ import annotations

import pytest

from completion_server.postprocess.whitespace import drop_blank
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("ˇ", "\n    ", ""),
        ("ˇ", " a", " a"),
    ],
)
def test_drop_blank(marked: str, text: str, expected: str) -> None:
    assert drop_blank(text, place_at(marked)) == expected
