"""Fits the gate: logistic regression on records of holes, and what each threshold costs and brings.

Thresholds and the published figures come from scores that were given to each repository by a fit without it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from completion_server.errors import RequestError
from completion_server.evaluation.served import HoleRecord
from completion_server.gate.calibration import Calibration, Thresholds
from completion_server.gate.features import FEATURE_NAMES

Array = npt.NDArray[np.float64]

BALANCED_COVERAGE, QUIET_COVERAGE = 0.40, 0.20
_BALANCED_GAIN = 2.0
_NUM_FOLDS = 5
_L2 = 1.0
_MAX_STEPS = 100
_MIN_RECORDS = 40


@dataclass(frozen=True)
class CurvePoint:
    """Showing what scores at least ``threshold``: the share of suggestions shown, and of those that are right."""

    threshold: float
    coverage: float
    precision: float


@dataclass(frozen=True)
class GateFit:
    """A calibration without metadata, and the curve of the out-of-fold scores its thresholds come from."""

    calibration: Calibration
    scores: Array
    """(N,) out of fold, in the order of the records that have features."""
    is_right: npt.NDArray[np.bool_]
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class _Model:
    means: Array
    scales: Array
    weights: Array
    bias: float

    def probabilities(self, features: Array) -> Array:
        result: Array = 1 / (1 + np.exp(-((features - self.means) / self.scales @ self.weights + self.bias)))
        return result


def fit_gate(records: Sequence[HoleRecord], metadata: dict[str, Any], seed: int = 0) -> GateFit:
    """Fit on all ``records`` with features. Raises RequestError when they are too few or all alike."""
    usable = [record for record in records if record.features is not None]
    features = np.array([record.features for record in usable], dtype=np.float64).reshape(-1, len(FEATURE_NAMES))
    is_right = np.array([record.is_right for record in usable], dtype=bool)
    if len(usable) < _MIN_RECORDS or not 0 < is_right.sum() < len(usable):
        raise RequestError(
            f"the gate needs at least {_MIN_RECORDS} suggestions, right and wrong ones: "
            f"here are {len(usable)}, {is_right.sum()} of them right"
        )
    scores = _out_of_fold(features, is_right, [record.repository for record in usable], seed)
    curve = precision_curve(scores, is_right)
    thresholds = choose_thresholds(curve, float(is_right.mean()))
    model = _fit(features, is_right)
    points = {name: asdict(point_at(curve, getattr(thresholds, name))) for name in ("balanced", "quiet")}
    facts = {**metadata, "num_suggestions": len(usable), "precision_of_all": float(is_right.mean())}
    calibration = Calibration(
        FEATURE_NAMES,
        _floats(model.means),
        _floats(model.scales),
        _floats(model.weights),
        model.bias,
        thresholds,
        {**facts, "out_of_fold": points},
    )
    return GateFit(calibration, scores, is_right, curve)


def precision_curve(scores: Array, is_right: npt.NDArray[np.bool_]) -> tuple[CurvePoint, ...]:
    """One point per distinct score, the highest first; ties are shown or hidden together."""
    order = np.argsort(-scores, kind="stable")
    ordered, right = scores[order], np.cumsum(is_right[order])
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return tuple(
        CurvePoint(float(ordered[end]), float(end + 1) / len(scores), float(right[end]) / float(end + 1))
        for end in ends
    )


def choose_thresholds(curve: Sequence[CurvePoint], precision_of_all: float) -> Thresholds:
    """Balanced: the most coverage at twice the precision of showing everything, if that is at least
    BALANCED_COVERAGE; else the best precision at that coverage. Quiet: the best precision from QUIET_COVERAGE on.
    """
    wide = [point for point in curve if point.coverage >= BALANCED_COVERAGE]
    good = [point for point in wide if point.precision >= _BALANCED_GAIN * precision_of_all]
    balanced = good[-1] if good else max(wide, key=lambda point: point.precision)
    narrow = [
        point for point in curve if point.coverage >= QUIET_COVERAGE and point.threshold >= balanced.threshold
    ]
    quiet = max(narrow, key=lambda point: point.precision)
    return Thresholds(balanced.threshold, quiet.threshold)


def point_at(curve: Sequence[CurvePoint], threshold: float) -> CurvePoint:
    """What showing everything from ``threshold`` up comes to; nothing shown has a precision of 0."""
    shown = [point for point in curve if point.threshold >= threshold]
    return CurvePoint(threshold, shown[-1].coverage, shown[-1].precision) if shown else CurvePoint(threshold, 0, 0)


def _out_of_fold(
    features: Array, is_right: npt.NDArray[np.bool_], repositories: Sequence[str], seed: int
) -> Array:
    """Scores (N,) of models that have not seen the record's repository."""
    names = sorted(set(repositories))
    random.Random(seed).shuffle(names)
    if len(names) < 2:
        raise RequestError("the gate needs suggestions from at least two repositories")
    fold_of = {name: number % _NUM_FOLDS for number, name in enumerate(names)}
    folds = np.array([fold_of[name] for name in repositories])
    scores = np.zeros(len(features))
    for fold in sorted(set(fold_of.values())):
        is_held_out = folds == fold
        scores[is_held_out] = _fit(features[~is_held_out], is_right[~is_held_out]).probabilities(
            features[is_held_out]
        )
    return scores


def _fit(features: Array, is_right: npt.NDArray[np.bool_]) -> _Model:
    """Newton's method on the log loss with an L2 penalty on the weights of standardised features."""
    means, scales = features.mean(axis=0), features.std(axis=0)
    scales = np.where(scales > 1e-9, scales, 1.0)
    design = np.hstack([(features - means) / scales, np.ones((len(features), 1))])
    penalty = np.full(design.shape[1], _L2)
    penalty[-1] = 1e-6  # the bias is as free as can be while the matrix stays regular
    coefficients = np.zeros(design.shape[1])
    for _ in range(_MAX_STEPS):
        probabilities = 1 / (1 + np.exp(-np.clip(design @ coefficients, -30, 30)))
        gradient = design.T @ (probabilities - is_right) + penalty * coefficients
        curvature = probabilities * (1 - probabilities)
        step = np.linalg.solve((design.T * curvature) @ design + np.diag(penalty), gradient)
        coefficients = coefficients - step
        if np.abs(step).max() < 1e-8:
            break
    return _Model(means, scales, coefficients[:-1], float(coefficients[-1]))


def _floats(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
