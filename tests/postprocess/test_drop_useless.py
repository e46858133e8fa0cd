"""A bracket or a placeholder is not worth the look."""

from __future__ import annotations

import pytest

from completion_server.postprocess.usefulness import drop_useless
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("f(ˇ", ")", ""),
        ("f(ˇ", "):", ""),
        ("f(ˇ", "a)", "a)"),
        ("f(ˇ", "_)", "_)"),
        ("ˇ", "# TODO", ""),
        ("ˇ", "// Your code here", ""),
        ("ˇ", "# TODO: the reason", "# TODO: the reason"),
    ],
)
def test_drop_useless(marked: str, text: str, expected: str) -> None:
    assert drop_useless(text, place_at(marked)) == expected
