"""A text that the clock ended is cut back to a whole line or word."""

from __future__ import annotations

import pytest

from completion_server.postprocess.partial import cut_to_clean_end
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("text", "expected"),
    [("self.conf", "self."), ("foo(", "foo("), ("a = 1\nb = lon", "a = 1"), ("conf", ""), ("\n    x", "\n    ")],
)
def test_a_partial_text_ends_at_a_clean_place(text: str, expected: str) -> None:
    assert cut_to_clean_end(text, place_at("ˇ", is_partial=True)) == expected
    assert cut_to_clean_end(text, place_at("ˇ")) == text
