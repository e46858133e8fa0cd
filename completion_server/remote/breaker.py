"""A circuit breaker (Nygard, Release It!, 2007): a server that failed is left alone a while, then tried once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

_FIRST_BACK_OFF_SECONDS = 1.0
_LONGEST_BACK_OFF_SECONDS = 30.0


@dataclass
class CircuitBreaker:
    """Closed until ``max_failures`` in a row; then open, for twice as long after each attempt that fails.

    Used from one thread. ``clock`` gives monotonic seconds.
    """

    max_failures: int = 3
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    num_failures: int = 0
    last_failure: str = ""
    _retry_at: float = 0.0

    @property
    def is_open(self) -> bool:
        return self.num_failures >= self.max_failures

    @property
    def wait_seconds(self) -> float:
        """How long until the next attempt is allowed; 0 when it is now."""
        return max(self._retry_at - self.clock(), 0.0) if self.is_open else 0.0

    def allows(self) -> bool:
        """Whether to try now. While open, one attempt per back-off (half-open)."""
        return self.wait_seconds == 0

    def succeeded(self) -> None:
        """The server answered: everything is as at the beginning."""
        self.num_failures, self.last_failure, self._retry_at = 0, "", 0.0

    def failed(self, reason: str) -> None:
        """An attempt failed; ``reason`` is shown to the user."""
        self.num_failures += 1
        self.last_failure = reason
        if self.is_open:
            doublings = min(self.num_failures - self.max_failures, 10)
            back_off = min(_FIRST_BACK_OFF_SECONDS * 2**doublings, _LONGEST_BACK_OFF_SECONDS)
            self._retry_at = self.clock() + back_off

    def describe(self) -> str:
        """For status: "" while all is well."""
        if not self.last_failure:
            return ""
        when = f"next attempt in {self.wait_seconds:.0f} s" if self.wait_seconds else "trying again"
        return f"{self.last_failure} ({when})"
