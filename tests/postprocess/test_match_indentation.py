"""Tabs or spaces, as the file has them."""

from __future__ import annotations

import pytest

from completion_server.postprocess.indentation import match_indentation
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("if a:\n\tb()\n\tˇ", "c()\n    if d:\n        e()", "c()\n\tif d:\n\t\te()"),
        ("if a:\n  b()\n  ˇ", "c()\n\tif d:\n\t\te()", "c()\n  if d:\n    e()"),
        ("ˇ", "c:\n\td", "c:\n\td"),
        # Tabs to the block and spaces on from there: continued lines of C, in BSD's style and others.
        ("if (a) {\n\t\tb();\n\t\tˇ", "c(d,\n\t\t    e,\n\t\t  f);", "c(d,\n\t\t    e,\n\t\t  f);"),
    ],
)
def test_match_indentation(marked: str, text: str, expected: str) -> None:
    assert match_indentation(text, place_at(marked)) == expected
