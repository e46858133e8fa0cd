"""The one model thread of the shared engine, and whose work it does next.

The newest work goes first among equals. Less urgent work is not thrown away for more urgent work but paused: the
engine looks at its cancellation token between two forward passes, and that is where the urgent work is done. So an
idle window's looking ahead never costs another window more than one forward pass.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from enum import IntEnum
from typing import Any

from completion_server.request import CancellationToken, FinishReason
from completion_server.scheduling import compute_steadily

log = logging.getLogger(__name__)

Work = Callable[[CancellationToken], Any]


class Urgency(IntEnum):
    """The lower, the sooner; work is paused for everything lower than itself."""

    HOUSEKEEPING = 0
    """Settings and the like; takes no time."""
    INTERACTIVE = 1
    """Somebody waits, and there is a deadline."""
    REQUEST = 2
    """Somebody waits, for as long as it takes."""
    IDLE = 3
    """Nobody waits."""


class SkippedError(Exception):
    """Work that was never begun, and why."""

    def __init__(self, reason: FinishReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Job:
    """Work for the model thread. ``future`` gets its result, its exception, or SkippedError."""

    def __init__(self, owner: str, work: Work, urgency: Urgency, checkpoint: Callable[[Urgency], None]) -> None:
        self.owner = owner
        self.work = work
        self.urgency = urgency
        self.future: Future[Any] = Future()
        self.token: CancellationToken = _PausingToken(lambda: checkpoint(urgency))


class _PausingToken(CancellationToken):
    """Does more urgent work first whenever it is looked at."""

    def __init__(self, checkpoint: Callable[[], None]) -> None:
        super().__init__()
        self._checkpoint = checkpoint

    @property
    def is_cancelled(self) -> bool:
        if not super().is_cancelled:
            self._checkpoint()
        return super().is_cancelled


class Scheduler:
    """Runs jobs on its own thread. All methods may be called from any thread and none of them waits."""

    def __init__(self, on_done: Callable[[str, float], None]) -> None:
        """``on_done(owner, cpu_seconds)`` is called on the model thread before a job's future is set."""
        self._on_done = on_done
        self._condition = threading.Condition()
        self._queue: list[Job] = []
        self._running: list[Job] = []  # the last one runs, those before it are paused
        self._nested_seconds = [0.0]
        self._is_stopped = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def num_waiting(self) -> int:
        return len(self._queue)

    def submit(self, owner: str, work: Work, urgency: Urgency) -> Job:
        """Queue ``work``, which is given a token to look at between forward passes."""
        job = Job(owner, work, urgency, self._run_more_urgent)
        with self._condition:
            if self._is_stopped:
                _settle(job, SkippedError(FinishReason.CANCELLED))
                return job
            self._queue.append(job)
            self._condition.notify_all()
        return job

    def cancel(self, job: Job) -> None:
        """End ``job``: at once when it waits, after the forward pass that runs now otherwise."""
        job.token.cancel()
        self._skip(job, FinishReason.CANCELLED)

    def expire(self, job: Job) -> None:
        """End ``job`` if it still waits: its deadline has passed."""
        self._skip(job, FinishReason.DEADLINE)

    def stop(self) -> None:
        """End all work and the thread."""
        with self._condition:
            self._is_stopped = True
            waiting, self._queue = self._queue, []
            running = list(self._running)
            self._condition.notify_all()
        for job in waiting:
            _settle(job, SkippedError(FinishReason.CANCELLED))
        for job in running:
            job.token.cancel()

    def join(self, timeout_seconds: float) -> bool:
        """Whether the thread has ended."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _skip(self, job: Job, reason: FinishReason) -> None:
        with self._condition:
            if job not in self._queue:
                return
            self._queue.remove(job)
        _settle(job, SkippedError(reason))

    # On the model thread

    def _work(self) -> None:
        compute_steadily()
        while True:
            with self._condition:
                while not self._queue and not self._is_stopped:
                    self._condition.wait()
                if self._is_stopped:
                    return
            self._run_next(None)

    def _run_more_urgent(self, than: Urgency) -> None:
        # Looked at without the lock: it is nearly always empty, and this is called for every token.
        while self._queue and self._run_next(than):
            pass

    def _run_next(self, below: Urgency | None) -> bool:
        """Run the most urgent waiting job, if it is more urgent than ``below``; whether there was one."""
        with self._condition:
            candidates = [job for job in self._queue if below is None or job.urgency < below]
            if not candidates:
                return False
            job = _choose(candidates)
            self._queue.remove(job)
            self._running.append(job)
        self._run(job)
        return True

    def _run(self, job: Job) -> None:
        began = time.process_time()
        self._nested_seconds.append(0.0)
        outcome: object = None
        try:
            outcome = job.work(job.token)
        except BaseException as error:  # noqa: BLE001 - goes to who waits; the thread must live on
            outcome = error
        with self._condition:
            self._running.remove(job)
        spent = time.process_time() - began
        own = spent - self._nested_seconds.pop()
        self._nested_seconds[-1] += spent
        try:
            self._on_done(job.owner, own)
        except Exception:
            log.exception("what follows a job failed")
        _settle(job, outcome)


def _choose(jobs: list[Job]) -> Job:
    """Of the most urgent the newest; settings in the order in which they came, or older ones would stay."""
    most = min(job.urgency for job in jobs)
    equals = [job for job in jobs if job.urgency == most]
    return equals[0 if most is Urgency.HOUSEKEEPING else -1]


def _settle(job: Job, outcome: object) -> None:
    try:
        if isinstance(outcome, BaseException):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
    except InvalidStateError:
        log.debug("a job was settled before")
