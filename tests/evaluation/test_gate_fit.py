"""The fit of the gate on made-up records whose law is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.errors import RequestError
from completion_server.evaluation.gate_fit import (
    BALANCED_COVERAGE,
    CurvePoint,
    choose_thresholds,
    fit_gate,
    point_at,
    precision_curve,
)
from completion_server.evaluation.served import HoleRecord
from completion_server.gate.calibration import sigmoid
from completion_server.gate.features import FEATURE_NAMES


def make_records(count: int, *, seed: int = 0, weight: float = 2.0) -> list[HoleRecord]:
    """Right with the odds that ``weight`` times the first feature gives; the others are noise."""
    rng = np.random.default_rng(seed)
    records = []
    for number in range(count):
        features = rng.normal(size=len(FEATURE_NAMES))
        is_right = bool(rng.random() < sigmoid(weight * float(features[0]) - 1))
        values = tuple(map(float, features))
        records.append(HoleRecord(number, "k", "python", f"r{number % 9}", True, values, None, is_right))
    return records


def test_the_fit_finds_the_law() -> None:
    fit = fit_gate(make_records(4000), {"model": "m"})
    calibration = fit.calibration
    assert calibration.weights[0] / calibration.scales[0] == pytest.approx(2.0, abs=0.2)
    assert max(map(abs, calibration.weights[1:])) < 0.15
    zero = calibration.logit((0.0,) * len(FEATURE_NAMES))
    assert zero == pytest.approx(-1.0, abs=0.2)
    # Calibrated: among scores near p, the share that is right is near p.
    high = (fit.scores > 0.6) & (fit.scores < 0.8)
    assert fit.is_right[high].mean() == pytest.approx(0.7, abs=0.07)
    assert calibration.metadata["model"] == "m"
    balanced = calibration.metadata["out_of_fold"]["balanced"]
    assert balanced["coverage"] >= BALANCED_COVERAGE
    assert calibration.thresholds.quiet >= calibration.thresholds.balanced


def test_noise_promises_nothing() -> None:
    fit = fit_gate(make_records(2000, weight=0.0), {})
    point = point_at(fit.curve, fit.calibration.thresholds.balanced)
    assert point.precision < 1.3 * fit.is_right.mean()


def test_the_fit_is_the_same_each_time() -> None:
    assert fit_gate(make_records(200), {}).calibration == fit_gate(make_records(200), {}).calibration


@pytest.mark.parametrize("records", [[], make_records(10), [r for r in make_records(200) if not r.is_right]])
def test_too_little_to_learn_from_is_an_error(records: list[HoleRecord]) -> None:
    with pytest.raises(RequestError, match="needs at least"):
        fit_gate(records, {})


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), min_size=1, max_size=30))
def test_the_curve_counts_what_each_threshold_shows(pairs: list[tuple[float, bool]]) -> None:
    curve = precision_curve(np.array([score for score, _ in pairs]), np.array([right for _, right in pairs]))
    for point in curve:
        shown = [right for score, right in pairs if score >= point.threshold]
        assert point.coverage == pytest.approx(len(shown) / len(pairs))
        assert point.precision == pytest.approx(sum(shown) / len(shown))
    assert curve[-1].coverage == 1


def test_balanced_takes_all_it_can_at_twice_the_precision() -> None:
    curve = [CurvePoint(0.9, 0.1, 0.95), CurvePoint(0.7, 0.4, 0.8), CurvePoint(0.5, 0.6, 0.62)]
    curve += [CurvePoint(0.1, 1.0, 0.3)]
    assert choose_thresholds(curve, 0.3).balanced == 0.5
    assert choose_thresholds(curve, 0.5).balanced == 0.7
    assert choose_thresholds(curve, 0.3).quiet == 0.7
    assert point_at(curve, 0.95) == CurvePoint(0.95, 0, 0)
