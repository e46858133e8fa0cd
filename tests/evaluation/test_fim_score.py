"""Scores of filled holes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.evaluation.fim_score import FilledHole, edit_similarity, levenshtein, score, wilson_interval


def hole(middle: str, completion: str) -> FilledHole:
    return FilledHole("python", "block", middle, completion)


def test_a_score_counts_what_it_says() -> None:
    found = score([hole("a + b", "a + b "), hole("x", "x + 1"), hole("y", "z"), hole("w", "")])
    assert found.exact_match == 0.25
    assert found.answered == 0.75
    assert found.stopped_right == 0.5
    assert found.edit_similarity == pytest.approx((1 + 0.2 + 0 + 0) / 4)


def test_nothing_that_began_right_has_no_share() -> None:
    assert score([hole("y", "z")]).stopped_right is None


@pytest.mark.parametrize(
    ("first", "second", "distance"), [("", "", 0), ("kitten", "sitting", 3), ("abc", "", 3), ("ab", "ba", 2)]
)
def test_edit_distance(first: str, second: str, distance: int) -> None:
    assert levenshtein(first, second) == distance == levenshtein(second, first)


@given(st.text(max_size=20), st.text(max_size=20))
def test_similarity_is_a_share_and_1_only_for_equals(first: str, second: str) -> None:
    similarity = edit_similarity(first, second)
    assert 0 <= similarity <= 1
    assert (similarity == 1) == (first == second)


def test_the_interval_holds_the_share() -> None:
    low, high = wilson_interval(19, 100)
    assert (low, high) == (pytest.approx(0.1251, abs=1e-3), pytest.approx(0.2778, abs=1e-3))
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == 1
