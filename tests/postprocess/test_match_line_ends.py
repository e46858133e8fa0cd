"""Line ends as the document has them."""

from __future__ import annotations

import pytest

from completion_server.postprocess.whitespace import match_line_ends
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("a\r\nˇ\r\n", "x\ny", "x\r\ny"),
        ("a\r\nˇ", "x\ny", "x\r\ny"),
        ("a\nˇ", "x\r\ny", "x\ny"),
        ("ˇ", "x\ny", "x\ny"),
    ],
)
def test_match_line_ends(marked: str, text: str, expected: str) -> None:
    assert match_line_ends(text, place_at(marked)) == expected
