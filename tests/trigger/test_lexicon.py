"""The automaton over characters, and what the syntax trees say."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.lexicon import Scanner, lexicon_of, scan
from completion_server.syntax import HoledText, count_errors, node_types_at, parse


@pytest.mark.parametrize(
    ("language_id", "text", "inside", "stack"),
    [
        ("python", "f([{", "", ["(", "[", "{"]),
        ("python", "f([)", "", ["(", "["]),  # closes nothing that is open: ignored
        ("python", "'a\\'(", "'", []),
        ("python", "'a\\\\'(", "", ["("]),
        ("python", "'a\n(", "", ["("]),  # a quote that nobody closed ends with its line
        ("python", '"""a\n(', '"""', []),
        ("python", '"""a"" (', '"""', []),
        ("python", "# (", "\n", []),
        ("python", "# '\n(", "", ["("]),
        ("javascript", "`a\n(", "`", []),
        ("javascript", "/* (\n", "*/", []),
        ("javascript", "/* ( */ [", "", ["["]),
        ("go", "'\\'' (", "", ["("]),
        ("rust", "&'a (", "", ["("]),
        ("shellscript", "$# (", "", ["("]),
        ("plaintext", "don't (", "", ["("]),
    ],
)
def test_scan(language_id: str, text: str, inside: str, stack: list[str]) -> None:
    scanner = scan(lexicon_of(language_id), text)
    assert (scanner.inside, scanner.stack) == (inside, stack)


def test_where_things_were_opened_and_left() -> None:
    scanner = scan(lexicon_of("python"), "a' + f(b, ['c", inside="'")
    assert (scanner.left_at, scanner.opened_at, scanner.entered_at) == (1, [6, 10], 11)
    assert scan(lexicon_of("python"), "'a' (").left_at is None


def test_unmatched_closers() -> None:
    assert scan(lexicon_of("python"), "a) + (b) ']' ]").unmatched == [1, 13]


@given(st.text("ab(){}'\"\\#\n/*`", max_size=40), st.lists(st.integers(1, 5), max_size=40))
def test_piece_by_piece_is_as_the_whole(text: str, sizes: list[int]) -> None:
    for language_id in ("python", "javascript", "plaintext"):
        scanner, end = Scanner(lexicon_of(language_id)), 0
        for size in sizes:
            end += size
            scanner.extend(text[:end])
        scanner.extend(text)
        scanner.finish()
        whole = scan(lexicon_of(language_id), text)
        assert (scanner.inside, scanner.stack, scanner.unmatched) == (whole.inside, whole.stack, whole.unmatched)


@pytest.mark.parametrize(
    ("language_id", "text", "num_errors"),
    [("python", "x = 1\n", 0), ("python", "x = = 1\n", 1), ("javascript", "f(1;", 1), ("plaintext", "x", None)],
)
def test_count_errors(language_id: str, text: str, num_errors: int | None) -> None:
    assert count_errors(language_id, text) == num_errors


def test_offsets_are_characters_not_bytes() -> None:
    assert node_types_at("python", "'😀é' # c", 7)[0] == "comment"


def test_long_texts_are_not_parsed() -> None:
    assert parse("python", "x = 1\n" * 10_000) is None


def test_each_thread_has_parsers_of_its_own() -> None:
    """Parsers are not for two threads at once."""
    counts: list[int | None] = []

    def count_often() -> None:
        counts.extend(count_errors("python", f"x = = {number}\n") for number in range(200))

    threads = [threading.Thread(target=count_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1] * 800


PIECES = ["x", " = ", "(", ")", "{", "}", "'", '"""', "\n", "    ", "return", ":", ",", "é", "if", "[", "#"]
SOME_TEXT = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@given(
    st.sampled_from(["python", "javascript", "json"]),
    SOME_TEXT,
    SOME_TEXT,
    SOME_TEXT,
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_a_holed_text_counts_as_the_whole_text_would(
    language_id: str, before: str, middle: str, after: str, num_before: int, num_after: int
) -> None:
    holed = HoledText(language_id, before, after)
    whole = before[: len(before) - num_before] + middle + after[num_after:]
    if len(before) >= num_before:
        assert holed.count_with(middle, num_before, num_after) == count_errors(language_id, whole)
    assert holed.num_errors == count_errors(language_id, before + after)


def test_a_holed_text_that_no_grammar_reads() -> None:
    assert HoledText("plaintext", "a", "b").num_errors is None
    assert HoledText("python", "a" * 7000, "b" * 7000).count_with("c") is None
