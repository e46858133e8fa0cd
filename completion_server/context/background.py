"""The thread that keeps indexes up to date: a little at a time, at low priority, and not while somebody waits."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

from completion_server.scheduling import compute_steadily

log = logging.getLogger(__name__)

_IDLE_PER_WORK = 4.0
"""Pause after each piece of work, in its own lengths: at most a fifth of one core."""
_MIN_PAUSE_SECONDS = 0.001
_MAX_PAUSE_SECONDS = 0.25
_NICENESS = 15


class BackgroundWork:
    """Calls ``work`` until it returns False, then waits to be woken."""

    def __init__(self, work: Callable[[], bool]) -> None:
        self._work = work
        self._thread: threading.Thread | None = None
        self._has_work = threading.Event()
        self._nobody_waits = threading.Event()
        self._nobody_waits.set()
        self._is_stopped = False

    def wake(self) -> None:
        """There may be something to do. The thread starts with the first call."""
        if self._thread is None and not self._is_stopped:
            self._thread = threading.Thread(target=self._run, name="workspace-index", daemon=True)
            self._thread.start()
        self._has_work.set()

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """No new piece of work begins inside of this block."""
        self._nobody_waits.clear()
        try:
            yield
        finally:
            self._nobody_waits.set()

    def stop(self) -> None:
        """End the thread after the piece of work that runs."""
        self._is_stopped = True
        self._has_work.set()
        self._nobody_waits.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        compute_steadily()
        if sys.platform == "linux":  # there niceness is a thread's own; elsewhere the pauses have to do
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        pause = threading.Event()
        while not self._is_stopped:
            self._has_work.wait()
            self._nobody_waits.wait()
            if self._is_stopped:
                return
            self._has_work.clear()
            began = time.perf_counter()
            try:
                is_more = self._work()
            except Exception:
                log.exception("a file of the workspace could not be looked at")
                is_more = True
            if is_more:
                self._has_work.set()
            elapsed = time.perf_counter() - began
            pause.wait(min(max(elapsed * _IDLE_PER_WORK, _MIN_PAUSE_SECONDS), _MAX_PAUSE_SECONDS))
