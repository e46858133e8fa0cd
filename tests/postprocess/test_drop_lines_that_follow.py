"""The lines below the cursor are not written twice."""

from __future__ import annotations

import pytest

from completion_server.postprocess.suffix_overlap import drop_lines_that_follow
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("voidˇ\n{\n  a();\n}\n", " f(int a) {", " f(int a)"),
        ("voidˇ\n\n  a();\n}\n", " f(int a) {", " f(int a) {"),
        ("ˇ\n  {\n    1,\n  },\n};\n", "int a[][1] = {", "int a[][1] = {"),  # a list of lists, not a body
        ("aˇ\nreturn x\n", "b\nreturn x\ny", "b"),
        ("retˇ\nreturn x\n", "urn x", ""),  # completes to the line that follows
        ("f() {ˇ\n}\n", "\n  a\n}", "\n  a"),
        ("f() {ˇ\n}\n", "\n  if (b) {\n  }\n  c", "\n  if (b) {\n  }\n  c"),
        ("aˇ\n\n\nlast = 1\n", "b\nlast = 1", "b"),
        ("aˇ\nx = 1\nyy = 2\nzz = 3\n", "b\nyy = 2\nzz = 3", "b"),
    ],
)
def test_drop_lines_that_follow(marked: str, text: str, expected: str) -> None:
    assert drop_lines_that_follow(text, place_at(marked)) == expected
