"""Show or hide: a suggestion that is probably wrong is not shown by itself.

The probability comes from the model's calibration; a model without one is judged by the geometric mean of its
tokens' probabilities alone. The user's own log may move it (``recalibration_shift``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from completion_server.document import Document, Position
from completion_server.evidence import Evidence
from completion_server.gate.calibration import Calibration, Thresholds, log_odds, sigmoid
from completion_server.gate.features import FEATURE_NAMES, features_of

Suggestions = Literal["eager", "balanced", "quiet"]

MIN_SHOWN = 200
MAX_SHIFT = 1.0
_MEAN_LOGPROB = FEATURE_NAMES.index("mean_logprob")
_UNCALIBRATED = Thresholds(balanced=0.25, quiet=0.5)
"""Of the geometric mean of token probabilities. Chosen, not measured: low enough to hide only plain guessing."""


@dataclass(frozen=True)
class Verdict:
    """``score`` is the probability before the user's own shift, None where nothing is known of the tokens."""

    score: float | None
    threshold: float
    is_shown: bool
    features: tuple[float, ...] | None = None


class Gate:
    """Judges suggestions. Holds no state, so any thread may ask."""

    def __init__(self, calibration: Calibration | None = None, shift: float = 0.0) -> None:
        """``shift`` is added to the log odds."""
        self._calibration = calibration
        self._shift = shift

    @property
    def is_calibrated(self) -> bool:
        """Whether there are coefficients for this model."""
        return self._calibration is not None

    @property
    def shift(self) -> float:
        """What the user's own log adds to the log odds."""
        return self._shift

    def judge(
        self, text: str, evidence: Evidence, document: Document, position: Position, suggestions: Suggestions
    ) -> Verdict:
        """Whether ``text`` at ``position`` should appear by itself."""
        threshold = self.threshold(suggestions)
        features = features_of(text, evidence, document, position)
        if features is None:
            return Verdict(None, threshold, True)
        score = self._probability(features)
        shifted = sigmoid(log_odds(score) + self._shift)
        return Verdict(score, threshold, shifted >= threshold, features)

    def threshold(self, suggestions: Suggestions) -> float:
        """Least probability at which a suggestion is shown."""
        thresholds = _UNCALIBRATED if self._calibration is None else self._calibration.thresholds
        return {"eager": 0.0, "balanced": thresholds.balanced, "quiet": thresholds.quiet}[suggestions]

    def _probability(self, features: tuple[float, ...]) -> float:
        if self._calibration is None:
            return math.exp(min(features[_MEAN_LOGPROB], 0.0))
        return sigmoid(self._calibration.logit(features))


def recalibration_shift(num_shown: int, num_accepted: int, mean_score: float) -> float:
    """What the user's own log adds to the log odds: 0 below MIN_SHOWN, never more than MAX_SHIFT either way.

    ``w * (log odds of a - log odds of p)`` with p the mean score of what was shown, ``a = (accepted + 1) /
    (shown + 2)`` the share accepted (Laplace's rule of succession), and ``w = shown / (shown + MIN_SHOWN)``, so
    that more evidence counts for more. It goes on to the probability that is compared with the threshold; the
    log keeps unshifted scores, so it does not feed on itself.
    """
    if num_shown < MIN_SHOWN or not 0 < mean_score < 1:
        return 0.0
    accepted = (min(num_accepted, num_shown) + 1) / (num_shown + 2)
    weight = num_shown / (num_shown + MIN_SHOWN)
    shift = weight * (log_odds(accepted) - log_odds(mean_score))
    return min(max(shift, -MAX_SHIFT), MAX_SHIFT)
