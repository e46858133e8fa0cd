"""White space at the end goes, unless code follows."""

from __future__ import annotations

import pytest

from completion_server.postprocess.whitespace import drop_trailing_white_space
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("x = ˇ", "1  ", "1"),
        ("x = ˇif a", "1 ", "1 "),
        ("x = ˇ if a", "1 ", "1"),
        ("x = ˇ", "1\n\n", "1"),
    ],
)
def test_drop_trailing_white_space(marked: str, text: str, expected: str) -> None:
    assert drop_trailing_white_space(text, place_at(marked)) == expected
