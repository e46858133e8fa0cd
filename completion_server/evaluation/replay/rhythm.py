"""When keys are pressed: log-normal gaps, bursts, pauses at line ends, after jumps and before looks."""

from __future__ import annotations

import math
import random

_KEY_MS = (150.0, 0.45)
_BURST_MS = (75.0, 0.3)
_LINE_END_MS = (520.0, 0.5)
_JUMP_MS = (900.0, 0.4)
_LOOK_MS = (450.0, 0.3)
_FIRST_BACKSPACE_MS = (320.0, 0.35)
_BACKSPACE_MS = (110.0, 0.25)
_BURST_SHARE = 0.06
"""How probable a burst begins at a key."""
_MIN_MS, _MAX_MS = 25.0, 3000.0


class Rhythm:
    """Gaps in ms before the next action; medians and spreads as for a practised programmer."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._num_left_in_burst = 0
        self._is_after_line_end = False

    def key(self, text: str) -> float:
        """Before the key that writes ``text``."""
        was_line_end, self._is_after_line_end = self._is_after_line_end, "\n" in text
        if was_line_end:
            self._num_left_in_burst = 0
            return self._draw(_LINE_END_MS)
        if self._num_left_in_burst == 0 and self._rng.random() < _BURST_SHARE:
            self._num_left_in_burst = self._rng.randint(4, 10)
        if self._num_left_in_burst > 0:
            self._num_left_in_burst -= 1
            return self._draw(_BURST_MS)
        return self._draw(_KEY_MS)

    def backspace(self, *, is_first: bool) -> float:
        """Before a backspace; the first one takes a moment of thought."""
        return self._draw(_FIRST_BACKSPACE_MS if is_first else _BACKSPACE_MS)

    def jump(self) -> float:
        """Before the cursor is elsewhere."""
        return self._draw(_JUMP_MS)

    def look(self) -> float:
        """To read a suggestion."""
        return self._draw(_LOOK_MS)

    def _draw(self, shape: tuple[float, float]) -> float:
        median_ms, sigma = shape
        gap_ms = self._rng.lognormvariate(math.log(median_ms), sigma)
        return round(min(max(gap_ms, _MIN_MS), _MAX_MS), 1)
