"""White space that stands before the cursor is not written twice."""

from __future__ import annotations

import pytest

from completion_server.postprocess.indentation import drop_doubled_indent
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("def f():\n    ˇ", "    return 1\n    x", "return 1\n    x"),
        ("def f():\n    ˇ", "return 1", "return 1"),
        ("x = ˇ", "    1", "    1"),
        # The cursor stands below the line that opens the block, as plain autoindent puts it: the text goes deeper.
        ("def sign(x):\n    if x > 0:\n    ˇ\n", "    return 1\n    return 0", "    return 1\n    return 0"),
        ("def f():\n  if x:\n  ˇ", "  return 1", "  return 1"),
        ("class A:\n\tdef f(self):\n\tˇ", "\treturn 1", "\treturn 1"),
        ("def f():\n    with a:\n        for b in c:\n        ˇ", "            d()", "    d()"),
        ("def f():\n    return g(\n    ˇ", "    a,\n        b)", "    a,\n        b)"),
        ("void f() {\n  if (a)\n  ˇ", "  b();", "  b();"),
        ("void f() {\n    while (a) {\n    ˇ", "    b();\n    }", "    b();\n    }"),
        ("def f\n  if a\n  ˇ", "  b\n  end", "  b\n  end"),
        ("  for i = 1, 2 do\n  ˇ", "  b()", "  b()"),
        ("a:\n  b:\n  ˇ", "  c: 1", "  c: 1"),
        ("match x:\n    case 1:\n    ˇ", "    y()", "    y()"),
        # And here it repeats.
        ("def f():\n    a = 1\n    ˇ", "    b = 2\n    c", "b = 2\n    c"),
        ("if x:\n    y()\n    ˇ", "    z()", "z()"),
        ("class A:\n\tˇ", "\tx = 1", "x = 1"),
        ("def f():\n\n    ˇ", "    return 1", "return 1"),
        ("    a = {\n        'b': 1,\n        ˇ", "        'c': 2,", "'c': 2,"),
        ("\tfor a {\n\t\tˇ", "\t\tb()", "b()"),
    ],
)
def test_drop_doubled_indent(marked: str, text: str, expected: str) -> None:
    assert drop_doubled_indent(text, place_at(marked)) == expected
