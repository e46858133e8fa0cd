"""What ends in the middle of an expression is not closed there."""

from __future__ import annotations

import pytest

from completion_server.postprocess.dangling import cut_dangling_end
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("language_id", "marked", "text", "expected"),
    [
        ("javascript", "ˇ\n", "for (let i = 0; i <", ""),
        ("javascript", "ˇ\n", "f(a);\nfor (let i = 0; i <", "f(a);"),
        ("javascript", "ˇ\n", "foo(a, b +", "foo(a, b"),
        ("javascript", "f(ˇ)\n", "a &&", "a"),
        ("javascript", "f(ˇ)\n", "a.", "a"),
        ("javascript", "f(ˇ)\n", "a ??", "a"),
        ("javascript", "ˇ\n", "f((a) =>", ""),
        ("python", "f(ˇ)\n", "a and", "a"),
        ("python", "f(ˇ)\n", "a if b else", "a if b"),
        ("python", "ˇ\n", "x = f(a ==", "x = f(a"),
        ("python", "ˇ\n", "f(key=", ""),
        ("c", "ˇ\n", "if (a |", "if (a"),
        ("rust", "ˇ\n", "f(std::", "f(std"),
        ("java", "ˇ\n", "f(a instanceof", "f(a"),
        ("svelte", "<p>{ˇ}</p>\n", "a *", "a"),
        # These are whole.
        ("python", "x[ˇ]\n", "1:", "1:"),
        ("python", "ˇ\n", "x = a +", "x = a +"),  # nothing is closed: the reader goes on
        ("python", "f(ˇ)\n", "'a +", "'a +"),
        ("python", "f(ˇ)\n", "a,", "a,"),
        ("c", "f(ˇ)\n", "i++", "i++"),
        ("c", "f(ˇ)\n", "char *", "char *"),
        ("c", "ˇ\n", "switch (a) {\ncase 1:", "switch (a) {\ncase 1:"),
        ("css", "a { color: hsl(ˇ); }\n", "1, 15%, 17%", "1, 15%, 17%"),
        ("typescript", "new Set<ˇ>\n", "Map<a, b>", "Map<a, b>"),
        ("plaintext", "(ˇ)\n", "a +", "a +"),
    ],
)
def test_cut_dangling_end(language_id: str, marked: str, text: str, expected: str) -> None:
    assert cut_dangling_end(text, place_at(marked, language_id=language_id)) == expected
