"""Stop rules, each on its own and as a set."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from completion_server.engine.stopping import (
    BlankLine,
    Dedent,
    ForeignCloser,
    LineEnd,
    MaxLines,
    Repetition,
    RestReached,
    StopRule,
    SuffixReached,
    find_stop,
)


def kept(rule: StopRule, text: str) -> str | None:
    """What is left of ``text``; None while the rule lets it grow."""
    stop = find_stop([rule], text)
    return None if stop is None else text[: stop.num_kept_chars]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a = 1", None), ("a = 1\nb", "a = 1"), ("a\r\nb", "a"), ("\n", ""), ("a\fb\u2028c", None)],
)
def test_line_end(text: str, expected: str | None) -> None:
    assert kept(LineEnd(), text) == expected


@pytest.mark.parametrize(
    ("width", "text", "expected"),
    [
        (4, "x = 1\n    y = 2", None),
        (4, "x = 1\n    y = 2\ndef", "x = 1\n    y = 2"),
        (4, "x = 1\n  ", None),  # the line may yet be indented enough
        (4, "x = 1\n\n    y", None),
        (4, "x = 1\n\tz", None),  # a tab reaches column 4
        (4, "x\r\n  y", "x"),
        (1, "\n    a\n}", "\n    a"),
        (0, "a\nb\nc", None),
    ],
)
def test_dedent(width: int, text: str, expected: str | None) -> None:
    assert kept(Dedent(width), text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a\n\nb", "a"), ("a\n", None), ("a\n  \n", "a"), ("\n\n", None), ("\n    a\n", None), ("a\r\n\r\n", "a")],
)
def test_blank_line(text: str, expected: str | None) -> None:
    assert kept(BlankLine(), text) == expected


def test_max_lines_counts_lines_with_something_on_them() -> None:
    assert kept(MaxLines(2), "\na\nb") is None
    assert kept(MaxLines(2), "\na\nb\nc") == "\na\nb"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n  return x\n", "a"),
        ("a\n  return x", None),  # the line may yet go on
        ("return x\n", None),  # continues the cursor's own line
        ("a\nb\nreturn x\n", "a\nb"),
    ],
)
def test_suffix_reached(text: str, expected: str | None) -> None:
    assert kept(SuffixReached("    return x\n"), text) == expected


def test_short_suffix_lines_do_not_stop() -> None:
    assert kept(SuffixReached("}\n"), "a\n}\n") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("foo bar " * 3, None if len("foo bar " * 3) < 24 else "foo bar "),
        ("x = [1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2", "x = [1, 2"),
        ("-" * 60, None),
        (" " * 60, None),
        ("a = 1\nb = 2\nc = 3\n", None),
    ],
)
def test_repetition(text: str, expected: str | None) -> None:
    result = kept(Repetition(), text)
    assert (result is None) == (expected is None)
    if expected is not None:
        assert result is not None
        assert text.startswith(result)
        assert len(result) < len(text)


def test_the_earliest_cut_wins() -> None:
    stop = find_stop([MaxLines(2), LineEnd()], "a\nb\nc")
    assert stop is not None
    assert (stop.rule, stop.num_kept_chars) == ("line_end", 1)


def test_no_stop_rule_is_a_string_of_ordinary_code() -> None:
    """Rules look at structure; "//", "t." or "}" alone never end a generation."""
    rules = [LineEnd(), Dedent(0), BlankLine(), MaxLines(9), SuffixReached(""), Repetition()]
    for code in ("// comment", "t.", "}", "#", "'''", "end", "return"):
        assert find_stop(rules, code) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n    a()\n}\n", "\n    a()\n}"),
        ("\n    a()\n});\nb", "\n    a()\n});"),
        ("\n    a()\n}", None),  # the line may yet go on
        ("\n    a()\nb", "\n    a()"),
    ],
)
def test_a_closer_that_the_suffix_lacks_is_kept(text: str, expected: str | None) -> None:
    assert kept(Dedent(1, closer="}", language_id="javascript"), text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('    s = """a\nb\n"""\n    c', None),  # inside a string
        ("    s = f(\n1,\n2)\n    c", None),  # inside a bracket
        ("    s = f(1)  # (\nb", "    s = f(1)  # ("),  # a bracket in a comment is none
        ('    s = "("\nb', '    s = "("'),
    ],
)
def test_dedent_does_not_judge_lines_inside_brackets_and_strings(text: str, expected: str | None) -> None:
    assert kept(Dedent(4, language_id="python"), text) == expected


@pytest.mark.parametrize(
    ("closer", "text", "expected"),
    [
        (")", "a, b)  + 1", "a, b"),
        (")", "f(a), b", None),
        (")", "')', b  ", None),  # in a string
        ("]", "a)   ", None),  # another bracket
        ("", "a)   ", None),
        ("}", "\n  a\n}\n  ", "\n  a"),
    ],
)
def test_foreign_closer(closer: str, text: str, expected: str | None) -> None:
    assert kept(ForeignCloser(closer, "python"), text) == expected


@pytest.mark.parametrize(
    ("rest", "text", "expected"),
    [("if a else b", "1 if a else b", "1 "), ("))", "a))", None), ("", "a", None), ("x", "x = x", None)],
)
def test_rest_reached(rest: str, text: str, expected: str | None) -> None:
    assert kept(RestReached(rest), text) == expected


def test_repetition_goes_back_to_whole_lines() -> None:
    assert kept(Repetition(), "a = 0\n" + "    self.count += 1\n" * 3) == "a = 0\n    self.count += 1"


@example("'[[[[[\n[[", [1, 3, 4, 1])  # the string ends with its line, also where that is not read yet
@given(st.text("ab(){}[]'\"#\n ", max_size=60), st.lists(st.integers(1, 4), max_size=60))
def test_a_text_in_pieces_is_cut_as_the_whole(text: str, sizes: list[int]) -> None:
    """What rules remember changes nothing: fed piece by piece, or with another text between, as anew."""

    def new() -> list[StopRule]:
        return [Dedent(2, closer="}", language_id="python"), ForeignCloser(")", "python"), Repetition()]

    rules, end = new(), 0
    for size in sizes:
        end += size
        find_stop(rules, "x(" * 3) if size == 4 else None
        assert find_stop(rules, text[:end]) == find_stop(new(), text[:end])
