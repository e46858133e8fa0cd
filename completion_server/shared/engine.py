"""The shared engine as a window's service sees it: a ``TextEngine`` whose work another process does.

A request that the engine does not outlive fails at once and is answered with nothing; meanwhile a thread brings
the engine back, with pauses that grow, and gives up for a while when it keeps ending.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty, SimpleQueue

from completion_server import errors
from completion_server.config import Settings
from completion_server.engine.decode import Limits
from completion_server.engine.engine import GenerationResult
from completion_server.engine.healing import healing_or_none
from completion_server.engine.stopping import StopRule
from completion_server.errors import CompletionServerError, ModelError, SharedEngineDownError, SharedEngineError
from completion_server.model import Prompt, SamplingParams
from completion_server.request import CancellationToken, Deadline, FinishReason
from completion_server.shared.address import EngineAddress
from completion_server.shared.connection import Answer, Call, Connection
from completion_server.shared.start import connect_or_start
from completion_server.shared.wire import (
    Apply,
    Cancel,
    Clear,
    EngineState,
    FromEngine,
    FromWindow,
    Generate,
    Generated,
    Hello,
    Leaving,
    LoadFailed,
    Loading,
    Number,
    NumMissing,
    Prefill,
    Ready,
    Refused,
    pack_rules,
    without_allowed,
)

log = logging.getLogger(__name__)

ReportProgress = Callable[[str, "float | None"], None]

_OVERDUE_MS = 1000.0  # after the deadline: one forward pass on a busy machine, and no more
_CANCEL_MS = 250.0  # for what was generated until a cancel; it is a draft for the next request
_SHORT_CALL_MS = 250.0
_CLEAR_MS = 2000.0
_SEND_SECONDS = 2.0
_GREETING_SECONDS = 10.0
_MAX_STARTS = 4
_FORGIVEN_SECONDS = 60.0
_FIRST_PAUSE = 0.1


class SharedEngine:
    """One window's share of the engine at ``address``. ``generate`` and ``prefill`` are called by one thread."""

    def __init__(self, address: EngineAddress, settings: Settings) -> None:
        self._address = address
        self._settings = settings
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._connection: Connection | None = None
        self._ready: Ready | None = None
        self._state = EngineState(0.0, {})
        self._earlier_cpu_seconds = 0.0
        self._problem = "not connected"
        self._recovery: threading.Thread | None = None
        self._starts: deque[float] = deque()
        self._num_losses = 0
        self._has_failed = False
        self._facts: dict[str, object] = {}
        self._shown: dict[str, object] = {"pid": None, "num_losses": 0, "problem": self._problem}

    def connect(self, report_progress: ReportProgress) -> Ready:
        """Find the engine or start it, and wait until its model is loaded.

        Raises ModelError as loading in this process would, and when the engine keeps ending while it loads;
        SharedEngineError when there cannot be one.
        """
        while True:
            self._starts.append(time.monotonic())
            opened = self._open(report_progress)
            if opened is not None:
                self._ready = opened
                return opened
            if len(self._starts) >= _MAX_STARTS:
                raise ModelError(
                    f"the shared engine ended while it loaded the model; see {self._address.log_path}"
                )
            self._closing.wait(_FIRST_PAUSE * 2 ** len(self._starts))

    def close(self) -> None:
        """Leave the engine to the other windows."""
        self._closing.set()
        with self._lock:
            connection, recovery = self._connection, self._recovery
        if connection is not None:
            connection.close()
            connection.join(_SEND_SECONDS)
        if recovery is not None:
            recovery.join(_SEND_SECONDS)

    # TextEngine

    def generate(
        self,
        prompt: Prompt,
        sampling: SamplingParams,
        stop_rules: Sequence[StopRule],
        deadline: Deadline,
        cancellation: CancellationToken,
        num_alternatives: int = 1,
    ) -> GenerationResult:
        """As ``Engine.generate``. Raises SharedEngineError when the engine is gone or does not answer in time."""
        if (limit := Limits(deadline, cancellation).exceeded()) is not None:
            return GenerationResult((), limit)
        remaining_ms = _remaining(deadline)
        rules = pack_rules(stop_rules)
        plain = without_allowed(prompt)
        with self._asking(lambda call: Generate(call, plain, sampling, rules, remaining_ms, num_alternatives)) as (
            connection,
            call,
        ):
            answer = _wait(connection, call, remaining_ms, cancellation)
        if answer is None:
            return GenerationResult((), FinishReason.CANCELLED)
        assert isinstance(answer, Generated)
        self._state = answer.state
        return answer.result

    def prefill(self, prompt: Prompt, deadline: Deadline, cancellation: CancellationToken) -> int:
        """As ``Engine.prefill``, and as idle work: it gives way to the requests of all windows."""
        if Limits(deadline, cancellation).exceeded() is not None:
            return 0
        remaining_ms, plain = _remaining(deadline), without_allowed(replace(prompt, local_text=None))
        with self._asking(lambda call: Prefill(call, plain, remaining_ms)) as (connection, call):
            return self._number(_wait(connection, call, remaining_ms, cancellation))

    def num_missing_tokens(self, prompt: Prompt) -> int:
        """As ``Engine.num_missing_tokens``, as of the last work that ended; never waits for the model."""
        token_ids = prompt.token_ids + healing_or_none(prompt.healing).path_token_ids
        try:
            with self._asking(lambda call: NumMissing(call, token_ids)) as (connection, call):
                return self._number(_wait(connection, call, _SHORT_CALL_MS - _OVERDUE_MS, CancellationToken()))
        except SharedEngineError:
            log.debug("the shared engine did not say how much is missing")
            return len(token_ids)

    def num_tokens_within(self, elapsed_ms: float) -> float:
        return self._state.tokens_per_ms * elapsed_ms

    def clear(self) -> None:
        with self._asking(Clear) as (connection, call):
            self._number(_wait(connection, call, _CLEAR_MS - _OVERDUE_MS, CancellationToken()))

    def apply_settings(self, settings: Settings) -> None:
        self._settings = settings
        with self._lock:
            connection = self._connection
        if connection is not None:  # a later one is told in its greeting
            connection.send(Apply(settings.cache.prefix_cache_mb, settings.latency.prefill_chunk_ms))

    def status(self) -> dict[str, object]:
        """What the engine said last, and how the connection is; asks nobody.

        ``shared_engine`` is one object that changes with the connection: a status that was taken before an engine
        ended does not go on to show its process.
        """
        return {**self._state.status, **self._facts, "shared_engine": self._shown}

    def describe(self, facts: Mapping[str, object]) -> None:
        """Add ``facts`` of this window to those that ``status`` tells."""
        self._facts.update(facts)

    @property
    def cpu_seconds(self) -> float:
        """Processor time that engines have spent on this window."""
        return self._earlier_cpu_seconds + self._state.cpu_seconds

    # Asking

    @contextmanager
    def _asking(self, make: Callable[[int], FromWindow]) -> Iterator[tuple[Connection, Call]]:
        connection = self._connected()
        call = connection.ask(make)
        try:
            yield connection, call
        finally:
            connection.forget(call)

    def _number(self, answer: Answer | None) -> int:
        if answer is None:
            return 0
        assert isinstance(answer, Number)
        if answer.state is not None:
            self._state = answer.state
        return answer.value

    def _connected(self) -> Connection:
        """The connection. Without one, it is on its way back or is being called, and SharedEngineError says so."""
        with self._lock:
            if self._connection is not None:
                return self._connection
            problem, has_failed = self._problem, self._has_failed
        self._recover_soon()
        raise SharedEngineDownError(problem) if has_failed else SharedEngineError(problem)

    # Connecting, and coming back

    def _open(self, report_progress: ReportProgress) -> Ready | None:
        """A new connection with its model loaded; None when the engine ended while it loaded."""
        connected, content = connect_or_start(self._address, self._settings, self._closing)
        events: SimpleQueue[FromEngine | None] = SimpleQueue()
        connection = Connection(connected, events.put, lambda lost: self._on_lost(lost, events))
        connection.start(_SEND_SECONDS)
        cache, latency = self._settings.cache, self._settings.latency
        try:
            connection.send(Hello(content.token, cache.prefix_cache_mb, latency.prefill_chunk_ms))
        except SharedEngineError:
            return None
        try:
            event = events.get(timeout=_GREETING_SECONDS)
            while event is not None:
                match event:
                    case Loading(message, fraction):
                        report_progress(message, fraction)
                    case LoadFailed(kind, message):
                        connection.close()
                        raise _error(kind, message, ModelError)
                    case Ready():
                        return self._adopt(connection, event, content.pid, events)
                event = events.get()  # loading may be silent for long
        except Empty:
            connection.close()
            raise SharedEngineError("the shared engine does not answer") from None
        return None

    def _adopt(
        self, connection: Connection, ready: Ready, pid: int, events: SimpleQueue[FromEngine | None]
    ) -> Ready | None:
        if self._ready is not None and (ready.directory, ready.max_context) != (
            self._ready.directory,
            self._ready.max_context,
        ):
            connection.close()
            raise ModelError("the shared engine now has another model; restart the language server")
        with self._lock:
            if not self._is_lost(events) and not self._closing.is_set():
                self._earlier_cpu_seconds += self._state.cpu_seconds
                self._connection, self._state = connection, ready.state
                self._has_failed = False
                self._shown.update(pid=pid, problem="")
                return ready
        connection.close()
        return None

    @staticmethod
    def _is_lost(events: SimpleQueue[FromEngine | None]) -> bool:
        """Whether the connection ended behind ``Ready``; called with the lock held, as ``_on_lost`` holds it."""
        try:
            while True:
                if events.get_nowait() is None:
                    return True
        except Empty:
            return False

    def _on_lost(self, lost: Connection, events: SimpleQueue[FromEngine | None]) -> None:
        """On the reading thread: the stream has ended."""
        with self._lock:
            was_in_use = self._connection is lost
            if was_in_use:
                self._connection = None
                self._num_losses += 1
                self._shown.update(pid=None, num_losses=self._num_losses)
                self._say("the shared engine ended and is started again", has_failed=False)
            is_on_purpose = was_in_use and _has_leaving(events)
            events.put(None)
        if was_in_use and not self._closing.is_set() and not is_on_purpose:
            log.warning("the shared engine is gone; starting it again")
            self._recover_soon()

    def _recover_soon(self) -> None:
        with self._lock:
            if self._closing.is_set() or self._connection is not None or self._recovery is not None:
                return
            if self._pause_before_start() is None:
                return
            self._recovery = threading.Thread(target=self._recover, name="recovery", daemon=True)
            self._recovery.start()

    def _recover(self) -> None:
        try:
            while (pause := self._pause_before_start()) is not None and not self._closing.wait(pause):
                self._starts.append(time.monotonic())
                if self._open(lambda _message, _fraction: None) is not None:
                    log.info("the shared engine is back")
                    return
            if not self._closing.is_set():
                log.error("%s", self._problem)
        except Exception as error:  # noqa: BLE001 - logged, shown, and asked for again by the next request
            with self._lock:
                self._say(f"the shared engine does not come back: {error}", has_failed=True)
            log.error("the shared engine does not come back: %s", error)
        finally:
            with self._lock:
                self._recovery = None

    def _pause_before_start(self) -> float | None:
        """Seconds to wait before the next start; None when there were too many of late."""
        now = time.monotonic()
        while self._starts and now - self._starts[0] > _FORGIVEN_SECONDS:
            self._starts.popleft()
        if len(self._starts) >= _MAX_STARTS + 1:
            self._say(
                f"the shared engine ended {len(self._starts)} times within a minute; see {self._address.log_path},"
                " or switch model.shared off",
                has_failed=True,
            )
            return None
        return 0.0 if len(self._starts) < 2 else _FIRST_PAUSE * 2 ** len(self._starts)

    def _say(self, problem: str, *, has_failed: bool) -> None:
        """Why there is no engine; ``has_failed``: and it is not on its way back."""
        if self._connection is None:
            self._problem, self._has_failed = problem, has_failed
            self._shown["problem"] = problem


def _remaining(deadline: Deadline) -> float | None:
    remaining_ms = deadline.remaining_ms
    return None if math.isinf(remaining_ms) else remaining_ms


def _wait(
    connection: Connection, call: Call, remaining_ms: float | None, cancellation: CancellationToken
) -> Answer | None:
    """The answer to ``call``; None when it was cancelled and the engine did not say more about it soon.

    Raises SharedEngineError when the engine is lost or overdue, and what it answered when it refused.
    """
    cancellation.on_cancel(call.wake.set)
    give_up_at = math.inf if remaining_ms is None else time.monotonic() + (remaining_ms + _OVERDUE_MS) / 1000
    was_cancelled = False
    while True:
        left = give_up_at - time.monotonic()
        call.wake.wait(None if math.isinf(left) else max(left, 0.0))
        call.wake.clear()
        if call.answer is not None or call.is_lost:
            break
        if cancellation.is_cancelled and not was_cancelled:
            was_cancelled = True
            connection.send(Cancel(call.number))
            give_up_at = time.monotonic() + _CANCEL_MS / 1000
        elif time.monotonic() >= give_up_at:
            if was_cancelled:
                return None
            connection.send(Cancel(call.number))
            raise SharedEngineError("the shared engine does not answer in time")
    if call.answer is None:
        raise SharedEngineError("the shared engine ended during the request")
    if isinstance(call.answer, Refused):
        raise _error(call.answer.kind, call.answer.message, SharedEngineError)
    return call.answer


def _has_leaving(events: SimpleQueue[FromEngine | None]) -> bool:
    try:
        while True:
            if isinstance(events.get_nowait(), Leaving):
                return True
    except Empty:
        return False


def _error(kind: str, message: str, default: type[CompletionServerError]) -> CompletionServerError:
    """The error of this package that the engine named; ``default`` for one of other libraries."""
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, CompletionServerError):
        return found(message)
    return default(message)
