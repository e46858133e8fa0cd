"""The gate's numbers: which tokens count, which probability they give, and what moves it."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.errors import ConfigError
from completion_server.evidence import Evidence
from completion_server.gate.calibration import (
    Calibration,
    Thresholds,
    log_odds,
    packaged_calibration,
    read_calibration,
    sigmoid,
)
from completion_server.gate.features import FEATURE_NAMES, features_of
from completion_server.gate.gate import MAX_SHIFT, MIN_SHOWN, Gate, recalibration_shift
from tests.support.marked import parse_marked

SURE = Evidence((3, 6), (-0.01, -0.02))
UNSURE = Evidence((3, 6), (-3.0, -5.0))


def make_calibration(**weights: float) -> Calibration:
    count = len(FEATURE_NAMES)
    return Calibration(
        FEATURE_NAMES,
        (0.0,) * count,
        (1.0,) * count,
        tuple(weights.get(name, 0.0) for name in FEATURE_NAMES),
        0.0,
        Thresholds(balanced=0.4, quiet=0.6),
    )


def test_only_tokens_of_the_shown_text_count() -> None:
    evidence = Evidence((2, 5, 9), (-1.0, -2.0, -3.0), num_healed_chars=1)
    assert evidence.within(5).logprobs == (-1.0, -2.0)
    assert evidence.within(6).logprobs == (-1.0, -2.0, -3.0)
    assert evidence.after(2) == Evidence((3, 7), (-2.0, -3.0))
    assert evidence.after(3).ends == (2, 6)
    assert evidence.after(0) == evidence


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(0, 20), st.integers(0, 20))
def test_typing_along_twice_is_typing_along_once(sizes: list[int], first: int, second: int) -> None:
    ends = tuple(sum(sizes[: index + 1]) for index in range(len(sizes)))
    evidence = Evidence(ends, tuple(-float(index) for index in range(len(sizes))))
    assert evidence.after(first).after(second).logprobs == evidence.after(first + second).logprobs


def test_features_describe_text_and_place() -> None:
    document, position = parse_marked("x = f(ˇ, y)\n")
    features = features_of("one\ntwo", Evidence((3, 7), (-1.0, -50.0), 3, True, True), document, position)
    assert features is not None
    named = dict(zip(FEATURE_NAMES, features, strict=True))
    assert named["mean_logprob"] == -6.5
    assert (named["min_logprob"], named["first_logprob"]) == (-12.0, -1.0)
    assert named["log_healed_chars"] == pytest.approx(math.log(4))
    flags = ("inside_call", "code_after_cursor", "is_cut_short", "is_block", "is_known_language", "num_line_ends")
    assert [named[name] for name in flags] == [1.0] * 6
    assert named["starts_line"] == 0.0
    assert features_of("x", Evidence(), document, position) is None


def test_without_a_calibration_the_mean_logprob_decides() -> None:
    document, position = parse_marked("x = ˇ\n")
    gate = Gate()
    verdict = gate.judge("abcdef", UNSURE, document, position, "balanced")
    assert verdict.score == pytest.approx(math.exp(-4))
    assert not verdict.is_shown
    assert gate.judge("abcdef", SURE, document, position, "quiet").is_shown
    assert gate.judge("abcdef", UNSURE, document, position, "eager").is_shown
    assert gate.judge("abcdef", Evidence(), document, position, "quiet").is_shown


def test_a_calibration_decides_by_its_coefficients_and_the_shift() -> None:
    document, position = parse_marked("x = ˇ\n")
    calibration = make_calibration(mean_logprob=1.0)
    verdict = Gate(calibration).judge("abcdef", SURE, document, position, "balanced")
    assert verdict.score == pytest.approx(sigmoid(-0.015))
    assert verdict.is_shown
    assert not Gate(calibration).judge("abcdef", SURE, document, position, "quiet").is_shown
    shifted = Gate(calibration, shift=1.0).judge("abcdef", SURE, document, position, "quiet")
    assert shifted.is_shown
    assert shifted.score == verdict.score


@given(st.floats(-25, 25))
def test_log_odds_is_the_inverse_of_sigmoid(logit: float) -> None:
    assert log_odds(sigmoid(logit)) == pytest.approx(logit, abs=1e-3)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1))
def test_the_shift_is_bounded_and_needs_evidence(num_shown: int, num_accepted: int, mean_score: float) -> None:
    shift = recalibration_shift(num_shown, num_accepted, mean_score)
    assert -MAX_SHIFT <= shift <= MAX_SHIFT
    if num_shown < MIN_SHOWN:
        assert shift == 0


def test_the_shift_follows_what_is_accepted() -> None:
    assert recalibration_shift(400, 40, 0.5) == -MAX_SHIFT
    assert recalibration_shift(400, 360, 0.5) == MAX_SHIFT
    expected = 2 / 3 * (log_odds(181 / 402) - 0.0)
    assert recalibration_shift(400, 180, 0.5) == pytest.approx(expected)


def test_a_calibration_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(msgspec.json.encode(make_calibration(bias=1)))
    assert read_calibration(path) == make_calibration()
    for bad in (b"{", b"{}", path.read_bytes().replace(b"mean_logprob", b"other")):
        path.write_bytes(bad)
        with pytest.raises(ConfigError, match="no calibration"):
            read_calibration(path)


@pytest.mark.parametrize("name", ["org/name", "../x", "/etc/passwd", "unknown-model", ""])
def test_unknown_models_have_no_calibration(name: str) -> None:
    assert packaged_calibration(name) is None
