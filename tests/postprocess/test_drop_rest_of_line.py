"""What stands behind the cursor on its line is not written twice."""

from __future__ import annotations

import pytest

from completion_server.postprocess.suffix_overlap import drop_rest_of_line
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("print(ˇ)", "x)", "x"),
        ("print(ˇ)", "len(x))", "len(x)"),
        ("print(ˇ)", "len(x)", "len(x)"),  # closes what it opened: the rest still closes print
        ("a = [f(ˇ)]", "x)]", "x"),
        ("a = [f(ˇ)]", "x)", "x"),
        ("s = 'ˇ'", "abc'", "abc"),
        ("x = ˇ if a else b", "1 if a else b", "1 "),
        ("foo(ˇ) + 1", "a) + 1", "a"),
        ("x = ˇ", "foo()", "foo()"),
    ],
)
def test_drop_rest_of_line(marked: str, text: str, expected: str) -> None:
    assert drop_rest_of_line(text, place_at(marked)) == expected
