"""Ctrl-C and SIGTERM ask a run to stop; it saves a checkpoint and ends. A second Ctrl-C ends it at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.is_set = False

    def __call__(self) -> bool:
        return self.is_set


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Inside, the two signals only set the request. For the main thread."""
    request = StopRequest()

    def handle(number: int, _frame: FrameType | None) -> None:
        if request.is_set and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.is_set = True

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
