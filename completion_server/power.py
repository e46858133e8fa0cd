"""Whether this machine runs on its battery. Asked seldom: the system may take some milliseconds to answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil

_RECHECK_SECONDS = 30.0


def _read_battery() -> Any:
    return psutil.sensors_battery()


class PowerSource:
    """The power supply as it was found last."""

    def __init__(self, read: Callable[[], Any] = _read_battery, now: Callable[[], float] = time.monotonic) -> None:
        """``read`` tells as ``psutil.sensors_battery`` does: None without a battery."""
        self._read, self._now = read, now
        self._checked_at = float("-inf")
        self.is_battery = False

    def refresh(self) -> None:
        """Look again if that was some time ago. A machine that cannot tell counts as plugged in."""
        if self._now() - self._checked_at < _RECHECK_SECONDS:
            return
        self._checked_at = self._now()
        try:
            battery = self._read()
            self.is_battery = battery is not None and battery.power_plugged is False
        except Exception:  # noqa: BLE001 - psutil lacks it on some systems, and drivers report odd values
            self.is_battery = False
