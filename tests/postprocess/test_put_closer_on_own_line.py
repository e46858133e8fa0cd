"""The closer behind the cursor goes to a line of its own when the text has several."""

from __future__ import annotations

import pytest

from completion_server.postprocess.closer_line import put_closer_on_own_line
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("language_id", "marked", "text", "expected"),
    [
        ("java", "    int f() {ˇ}\n", "\n        return 1;", "\n        return 1;\n    "),
        ("go", "\tfunc f() {ˇ}\n", "\n\t\ta()", "\n\t\ta()\n\t"),
        ("javascript", "f(() => {ˇ});\n", "\n  a();", "\n  a();\n"),
        ("javascript", "f(() => { ˇ });\n", "\n  a();\n", "\n  a();\n"),
        ("javascript", "f(() => {ˇ});\n", " a();\n  b();", " a();\n  b();\n"),
        ("python", "x = f(ˇ)\n", "\n    a,\n    b,", "\n    a,\n    b,\n"),
        ("python", "x = [ˇ]\n", "\n    a,", "\n    a,\n"),
        ("html", "  <ul>ˇ</ul>\n", "\n    <li>a</li>", "\n    <li>a</li>\n  "),
        # These stay.
        ("python", "x = f(ˇ)\n", "a,\n      b", "a,\n      b"),  # aligned with the bracket
        ("python", "x = f(ˇ)\n", "a", "a"),
        ("java", "int f() {ˇ}\n", "return 1;", "return 1;"),
        ("java", "int f() { a(); ˇ}\n", "\n  b();", "\n  b();"),  # not between the two brackets
        ("java", "int f() {ˇ\n}\n", "\n  b();", "\n  b();"),
        ("java", "int f() {ˇ}\n", "\n  if (a) {", "\n  if (a) {"),  # that closer would be its own
        ("python", "x = 'ˇ'\n", "a\nb", "a\nb"),
        ("svelte", "<p>{ˇ}</p>\n", "a.map((b) => {\n})", "a.map((b) => {\n})"),
    ],
)
def test_put_closer_on_own_line(language_id: str, marked: str, text: str, expected: str) -> None:
    assert put_closer_on_own_line(text, place_at(marked, language_id=language_id)) == expected
