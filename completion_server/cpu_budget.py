"""How much processor time suggestions may take: a share of all cores, averaged over half a minute."""

from __future__ import annotations

import time
from collections.abc import Callable

_WINDOW_S = 30.0


class CpuBudget:
    """A bucket of CPU seconds that fills at the allowed rate; what this process uses is taken out of it."""

    def __init__(
        self,
        max_percent: int,
        num_cores: int,
        *,
        now: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        """``used`` tells the CPU seconds of all threads so far, ``now`` the seconds on the wall."""
        self._is_unlimited = max_percent >= 100
        self._rate = max_percent / 100 * num_cores
        self._now, self._used = now, used
        self._seen = now(), used()
        self._level = self._capacity

    @property
    def _capacity(self) -> float:
        return self._rate * _WINDOW_S

    def is_left(self) -> bool:
        """Whether something may be computed now. What is begun is not interrupted, and is counted afterwards."""
        if self._is_unlimited:
            return True
        (seen_now, seen_used), self._seen = self._seen, (self._now(), self._used())
        self._level += (self._seen[0] - seen_now) * self._rate
        self._level = min(self._level, self._capacity) - (self._seen[1] - seen_used)
        return self._level > 0
