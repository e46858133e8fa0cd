"""How features become a probability, for one model: coefficients and thresholds of a logistic regression.

Made by ``completion-server evaluate --served --fit-gate`` from held-out code, kept as JSON beside this module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from completion_server.errors import ConfigError
from completion_server.gate.features import FEATURE_NAMES

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_MAX_LOGIT = 30.0


class Thresholds(Struct, frozen=True):
    """Least probability at which a suggestion is shown; "eager" shows everything."""

    balanced: float
    quiet: float


class Calibration(Struct, frozen=True):
    """``sigmoid(bias + weights . (features - means) / scales)``; all lists in the order of ``features``."""

    features: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    thresholds: Thresholds
    metadata: dict[str, Any] = {}
    """Where the numbers come from: model, data, date, and the precision at each coverage."""

    def __post_init__(self) -> None:
        if self.features != FEATURE_NAMES:
            raise ValueError("the features are not those of this version")
        if not len(self.features) == len(self.means) == len(self.scales) == len(self.weights):
            raise ValueError("one mean, scale and weight per feature is needed")
        if not all(scale > 0 for scale in self.scales):
            raise ValueError("scales must be above 0")

    def logit(self, features: Sequence[float]) -> float:
        """Log odds that a suggestion with these ``features`` is right."""
        rows = zip(features, self.means, self.scales, self.weights, strict=True)
        return self.bias + sum(weight * (value - mean) / scale for value, mean, scale, weight in rows)


def read_calibration(path: Path) -> Calibration:
    """The calibration in ``path``. Raises ConfigError when it cannot be used."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Calibration)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path} is no calibration of the gate: {error}") from error


def packaged_calibration(model_name: str) -> Calibration | None:
    """The calibration that comes with this package for ``model_name``; None where there is none."""
    if not _NAME.fullmatch(model_name):
        return None
    file = resources.files(__package__) / "calibrations" / f"{model_name}.json"
    return read_calibration(Path(str(file))) if file.is_file() else None


def sigmoid(logit: float) -> float:
    """Log odds to a probability."""
    return 1 / (1 + math.exp(-min(max(logit, -_MAX_LOGIT), _MAX_LOGIT)))


def log_odds(probability: float) -> float:
    """The inverse of ``sigmoid``, finite for 0 and 1."""
    bounded = min(max(probability, sigmoid(-_MAX_LOGIT)), sigmoid(_MAX_LOGIT))
    return min(max(math.log(bounded) - math.log1p(-bounded), -_MAX_LOGIT), _MAX_LOGIT)
