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
        # The first line too, where nothing but white space stands before it.
        ("if a:\n\tb()\nˇ", "    c()\n    d()", "\tc()\n\td()"),
        ("if a:\n\tb()\nˇ", "def c():\n    d()", "def c():\n\td()"),
        ("if a:\n\tb()\n\tif c:\n\tˇ", "    d()", "\td()"),
        # One level of a text in two spaces.
        ("if a:\n\tb()\n\tˇ", "c()\n  if d:\n    e()", "c()\n\tif d:\n\t\te()"),
        ("if a:\n\tb()\nˇ", "def c():\n  d()\n  if e:\n    f()", "def c():\n\td()\n\tif e:\n\t\tf()"),
        ("if a:\n\tif b:\n\t\tˇ", "c()\n        d()", "c()\n\t\td()"),
        ("if a:\n\tif b:\n\t\tˇ", "c()\n    d()", "c()\n\t\td()"),
        ("if a:\n\tif b:\n\t\tˇ", "if c:\n            d()", "if c:\n\t\t\td()"),
        # A heredoc among tabs.
        ("if a:\n\tcat <<E\n  b\nE\n\td()\n\te()\n\tˇ", "if f:\n        g()", "if f:\n\t\tg()"),
        # As many of one as of the other: neither is the file's own.
        ("if a:\n\tb()\n  c()\nˇ", "if f:\n    g()", "if f:\n    g()"),
    ],
)
def test_match_indentation(marked: str, text: str, expected: str) -> None:
    assert match_indentation(text, place_at(marked)) == expected


@pytest.mark.parametrize(
    ("language_id", "marked", "text", "expected"),
    [
        ("makefile", "clean:\nˇ", "    rm -f a.o\n    rm -f b.o", "\trm -f a.o\n\trm -f b.o"),
        ("makefile", "clean:\nˇ", "  rm -f a.o", "\trm -f a.o"),
        ("makefile", "clean:\nˇ", "        rm -f a.o", "\trm -f a.o"),
        ("makefile", "clean:\n  rm -f a.o\nˇ", "    rm -f b.o", "\trm -f b.o"),
        ("makefile", "A = 1\n\nall: ˇ", "b\n    c", "b\n\tc"),
        ("go", "package a\n\nfunc f() {\nˇ\n}\n", "    return 1", "\treturn 1"),
        ("go", "package a\n\nfunc f() {\n\tif b {\n\t\tˇ", "c()\n    }", "c()\n\t}"),
        ("yaml", "a:\n  b: 1\n  ˇ", "c:\n    d: 1", "c:\n    d: 1"),
    ],
)
def test_some_languages_are_indented_by_tabs_only(language_id: str, marked: str, text: str, expected: str) -> None:
    assert match_indentation(text, place_at(marked, language_id=language_id)) == expected
