"""The thread that writes the log: whoever tells it something never waits, and no fault of the disk is theirs."""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from completion_server.usage_log.place import DATABASE_NAME, TRACES_NAME, state_dir
from completion_server.usage_log.schema import is_damage, set_aside
from completion_server.usage_log.store import UsageStore
from completion_server.usage_log.traces import append_trace

log = logging.getLogger(__name__)

_MAX_WAITING = 1000

Change = Callable[[UsageStore], None]


class UsageWriter:
    """Takes changes and traces from any thread. The thread starts with the first; what does not fit is dropped."""

    def __init__(self, directory: Path | None = None) -> None:
        """``directory`` None: the user's state folder."""
        self._directory = directory
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(_MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._store: UsageStore | None = None
        self._is_broken = False
        self._said: set[str] = set()
        self._can_trace = True

    def write(self, change: Change) -> None:
        """Do ``change`` to the store soon."""
        self._put(lambda: self._change(change))

    def trace(self, trace: Mapping[str, object]) -> None:
        """Add a line to the traces soon."""
        self._put(lambda: self._append(trace))

    def close(self, timeout_seconds: float = 1.0) -> None:
        """Write what waits, for at most so long."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._queue.put_nowait(None)
            self._thread.join(timeout_seconds)

    def _put(self, task: Callable[[], None]) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="usage log", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system has no more threads
                self._say_once("the usage log could not be written: %s", error)
                return
            self._thread = thread
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(task)

    # Everything below runs on the thread.

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                task()
            except Exception:
                log.exception("the usage log failed")
        if self._store is not None:
            self._store.close()

    def _path(self, name: str) -> Path:
        return (self._directory or state_dir()) / name

    def _change(self, change: Change) -> None:
        if self._is_broken:
            return
        try:
            if self._store is None:
                self._store = UsageStore(self._path(DATABASE_NAME))
            self._change_or_begin_anew(self._store, change)
        except sqlite3.OperationalError as error:
            # Locked for long, or the disk is full: this one is lost, the next may not be.
            self._is_broken = self._store is None
            self._say_once("the usage log could not be written: %s", error)
        except (sqlite3.Error, OSError) as error:
            self._is_broken = True
            self._say_once("the usage log is off: %s", error)

    def _change_or_begin_anew(self, store: UsageStore, change: Change) -> None:
        try:
            change(store)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            store.close()
            self._store = None
            set_aside(self._path(DATABASE_NAME), error)
            self._store = UsageStore(self._path(DATABASE_NAME))
            change(self._store)

    def _append(self, trace: Mapping[str, object]) -> None:
        if not self._can_trace:
            return
        try:
            append_trace(self._path(TRACES_NAME), trace)
        except OSError as error:
            self._can_trace = False
            log.warning("traces are not written: %s", error)

    def _say_once(self, message: str, error: Exception) -> None:
        if str(error) not in self._said:
            self._said.add(str(error))
            log.warning(message, error)
