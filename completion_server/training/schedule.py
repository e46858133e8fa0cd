"""Learning rate by step: warm-up, then constant with a late decay (WSD), a cosine, or a line.

WSD: Hu et al. 2024 (arXiv 2404.06395): the constant stage can be left at any checkpoint by a short decay, so a run
need not know its end beforehand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from completion_server.training.error import TrainingError

SCHEDULES = ("wsd", "cosine", "linear", "constant")


@dataclass(frozen=True)
class Schedule:
    """``decay_start`` (wsd only): the step at which the decay to 0 begins."""

    peak: float
    num_steps: int
    num_warmup_steps: int = 0
    kind: str = "wsd"
    decay_start: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in SCHEDULES:
            raise TrainingError(f"no such schedule: {self.kind!r} (known: {', '.join(SCHEDULES)})")

    def rate(self, step: int) -> float:
        """The learning rate of ``step`` (from 0); 0 from ``num_steps`` on, but for the constant kind."""
        if step < self.num_warmup_steps:
            return self.peak * (step + 1) / self.num_warmup_steps
        if self.kind == "constant":
            return self.peak
        start = self.num_warmup_steps
        if self.kind == "wsd":
            start = self.decay_start if self.decay_start is not None else self.num_steps
        if step < start:
            return self.peak
        progress = min((step - start + 1) / max(self.num_steps - start, 1), 1.0)
        if self.kind == "cosine":
            return self.peak * (1 + math.cos(math.pi * progress)) / 2
        return self.peak * (1 - progress)
