"""What a text leaves open is closed where the text after the cursor does not."""

from __future__ import annotations

import dataclasses

import pytest

from completion_server.postprocess.closing import AT_HOME, HARMLESS, WRONG, close_what_is_open, fitted
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("language_id", "marked", "text", "expected"),
    [
        ("python", "x = ˇ\n", "foo(1", "foo(1)"),
        ("python", "    ˇ\n", "foo(a, [1", "foo(a, [1])"),
        ("python", "x = ˇ\n", "foo(1,", "foo(1,\n)"),
        ("python", "if a:\n    x = ˇ\n", "foo(", "foo(\n    )"),
        ("python", "x = ˇ\n", "foo(  # why", "foo(  # why\n)"),
        ("python", "x = ˇ\n", "[{'a': 1", "[{'a': 1}]"),
        ("python", "x = ˇ\n", "'abc", "'abc'"),
        ("python", "def f():\n    ˇ\n", '"""Says it.', '"""Says it."""'),
        ("python", "def f():\n    ˇ\n", '"""\n    Says it.', '"""\n    Says it.\n    """'),
        ("python", "x = foo(ˇ\n", "bar(1", "bar(1"),  # that line was open before: whoever began it goes on
        ("python", "x = foo(ˇ)\n", "bar(1", "bar(1)"),
        ("python", "x = foo(ˇ)\n", "bar(1)", "bar(1)"),
        ("javascript", "ˇ\n", "function f(a) {", "function f(a) {\n}"),
        (
            "javascript",
            "  ˇ\n",
            "for (;;) {\n    if (a) {\n      b()",
            "for (;;) {\n    if (a) {\n      b()\n    }\n  }",
        ),
        ("javascript", "x = ˇ\n", "{a: 1", "{a: 1}"),
        ("javascript", "ˇ\n  return 1\n}\n", "function f(a) {", "function f(a) {"),
        ("javascript", "ˇ\n", "/* why", "/* why*/"),
        ("go", "package a\n\nˇ\n", "func f() {", "func f() {\n}"),
        ("shellscript", "ˇ\n", "if a; then", "if a; then\nfi"),
        ("shellscript", "  ˇ\n", "for a in b; do\n    c", "for a in b; do\n    c"),  # only of the last line
        ("unknown", "x = ˇ\n", "foo(1", "foo(1)"),
        ("plaintext", "ˇ\n", "as said (1", "as said (1"),
    ],
)
def test_close_what_is_open(language_id: str, marked: str, text: str, expected: str) -> None:
    assert close_what_is_open(text, place_at(marked, language_id=language_id)) == expected


def test_a_text_that_the_clock_ended_is_closed_on_its_line() -> None:
    place = place_at("x = ˇ\n", is_partial=True)
    assert close_what_is_open("foo(", place) == "foo()"
    assert close_what_is_open("foo(\n    a,", place) == "foo(\n    a,\n)"


def test_how_well_a_text_fits() -> None:
    assert fitted("1", place_at("x = ˇ\n")) == ("1", AT_HOME)
    assert fitted("1", place_at("x = = ˇ\n"))[1] == HARMLESS
    assert fitted("y = = 2", place_at("x = 1\nˇ\n"))[1] == WRONG


def test_a_body_that_ends_where_nobody_looks_is_not_closed_again() -> None:
    place = place_at("ˇ\n  a()\n  b()\n", language_id="javascript")
    cut = dataclasses.replace(place, is_cut_below=True)
    assert close_what_is_open("function f() {", cut) == "function f() {"
    assert close_what_is_open("function f() {", place) == "function f() {\n}"
