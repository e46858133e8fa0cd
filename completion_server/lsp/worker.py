"""The one model thread: it alone touches the service, and so the model and every cache.

Owns the order of work: load first, then settings, then the newest request; a newer request for a document
takes the place of the older. Every submitted job is resolved exactly once. Knows nothing of LSP types.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from enum import Enum
from functools import partial

from completion_server.config import Settings
from completion_server.errors import (
    CompletionServerError,
    ModelError,
    SharedEngineDownError,
    SharedEngineError,
)
from completion_server.lsp.debounce import Debounce
from completion_server.lsp.job import (
    BuildService,
    IdleWork,
    Job,
    ReportProgress,
    Service,
    following,
    reading,
    returning,
)
from completion_server.lsp.pending import PendingJobs
from completion_server.request import Completion, CompletionRequest, FinishReason
from completion_server.scheduling import compute_steadily, forget_loaded_objects

log = logging.getLogger(__name__)

_MAX_REMEMBERED_ERRORS = 100
_MAX_REMEMBERED_CANCELS = 1000


class WorkerState(Enum):
    """What the model thread is good for at the moment."""

    NOT_STARTED = "not started"
    LOADING = "loading"
    READY = "ready"
    ERROR = "error"
    STOPPED = "stopped"


@dataclasses.dataclass(frozen=True)
class WorkerStatus:
    """A consistent picture of the thread, taken at once."""

    state: WorkerState
    message: str
    running_uri: str | None
    num_pending: int
    service: dict[str, object]
    cancel_to_idle_ms: tuple[float, ...] = ()
    """For the last withdrawn jobs that ran: how long the model went on after that."""


class CompletionWorker:
    """Runs jobs on its own thread. All methods may be called from any thread and none of them waits."""

    def __init__(
        self,
        build_service: BuildService,
        on_state: Callable[[], None],
        on_progress: ReportProgress,
        debounce: Debounce | None = None,
    ) -> None:
        """``on_state`` is called after each change of state, ``on_progress`` while loading, on any thread.

        ``debounce`` says when the model may be asked; its longest wait is taken from the settings.
        """
        self._build_service = build_service
        self._on_state = on_state
        self._on_progress = on_progress
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._state = WorkerState.NOT_STARTED
        self._message = ""
        self._wanted = Settings()
        self._applied: Settings | None = None
        self._service: Service | None = None
        self._service_status: dict[str, object] = {}
        self._pending = PendingJobs()
        self._debounce = debounce or Debounce()
        self._running: Job | None = None
        self._chores: deque[tuple[Callable[[Service], None], Future[bool]]] = deque()
        self._idle_work: IdleWork | None = None
        self._running_idle_work: IdleWork | None = None
        self._cancel_to_idle_ms: deque[float] = deque(maxlen=_MAX_REMEMBERED_CANCELS)
        self._seen_errors: set[tuple[str, str]] = set()

    def start(self, settings: Settings) -> None:
        """Start loading. A second call only changes the settings."""
        with self._condition:
            if self._state is not WorkerState.NOT_STARTED:
                self.apply_settings(settings)
                return
            self._want(settings)
            self._set_state(WorkerState.LOADING, f"loading {settings.source_name}")
        self._thread.start()

    def apply_settings(self, settings: Settings) -> None:
        """Use ``settings`` from the next job on. A change of the model, or an earlier failure, loads anew."""
        with self._condition:
            self._want(settings)
            if self._state is WorkerState.ERROR or self._is_other_model(settings):
                self._set_state(WorkerState.LOADING, f"loading {settings.source_name}")
                self._withdraw_all("the model is changed")
            self._condition.notify_all()

    def submit(self, request: CompletionRequest) -> Job:
        """Queue a request; one for the same document that waits or runs is answered with nothing at once.

        What is known already is answered here and now: it need not wait for the forward pass that runs.
        """
        job = Job(request)
        known = self._recall(request)
        with self._condition:
            self._debounce.note_key(request)
            if self._state is not WorkerState.READY:
                is_early = self._state is WorkerState.NOT_STARTED
                reason = WorkerState.LOADING.value if is_early else self._state.value
                job.resolve(Completion.empty(FinishReason.SKIPPED, {"reason": reason}))
                return job
            self._withdraw_document(job.uri, "superseded by a newer request")
            if known is not None:
                job.follow_up = following(request, known)
                job.resolve(known)
                return job
            self._pending.put(job, self._debounce.due_at(request))
            self._stop_idle_work()
            self._condition.notify_all()
        return job

    def _recall(self, request: CompletionRequest) -> Completion | None:
        service = self._service
        try:
            return None if service is None else service.recall(request)
        except Exception as error:  # noqa: BLE001 - logged; the model thread answers then
            self._log_once("looking up a known answer failed", error)
            return None

    def note_file_changes(self, uris: Sequence[str]) -> None:
        """Tell the service at once; before it is loaded it knows of no files, and reads them as they are then."""
        service = self._service
        try:
            if service is not None:
                service.note_file_changes(uris)
        except Exception as error:  # noqa: BLE001 - logged
            self._log_once("changed files were not noted", error)

    def withdraw(self, job: Job, reason: str) -> None:
        """Give up one job: it does not start any more, or ends after the forward pass that runs now."""
        with self._condition:
            self._pending.forget(job)
            job.withdraw(reason)

    def continue_later(self, job: Job) -> None:
        """Do what an answered job leaves to do, as long as nothing else is wanted.

        Called when the answer has been sent: work that starts before that delays it by some 25 ms on two cores.
        """
        with self._condition:
            is_idle = self._state is WorkerState.READY and self._running is None and not self._pending
            if job.follow_up is not None and is_idle:
                self._idle_work = job.follow_up
                self._condition.notify_all()

    def prepare(self, request: CompletionRequest) -> None:
        """Compute what requests for this document are going to need, as long as nothing else is wanted.

        Of several calls only the last counts: an editor that opens many documents at once looks at one.
        """
        with self._condition:
            if self._state is WorkerState.READY and self._running is None and not self._pending:
                self._stop_idle_work()
                self._idle_work = reading(request)
                self._condition.notify_all()

    def prepare_place(self, request: CompletionRequest) -> None:
        """Read the prompt for a place that is known, as long as nothing at all is to be done."""
        with self._condition:
            is_idle = self._state is WorkerState.READY and self._running is None and not self._pending
            if is_idle and self._idle_work is None and self._running_idle_work is None:
                self._idle_work = returning(request)
                self._condition.notify_all()

    def expire(self, job: Job) -> None:
        """Answer a job whose deadline passed while it waited; one that runs looks at the clock itself."""
        with self._condition:
            if self._pending.forget(job):
                job.resolve(Completion.empty(FinishReason.DEADLINE, {"reason": "waited for other work"}))

    def withdraw_document(self, uri: str, reason: str) -> None:
        """Give up what waits or runs for a document, because its text has changed."""
        with self._condition:
            self._withdraw_document(uri, reason)

    def withdraw_all(self, reason: str) -> None:
        """Give up everything that waits or runs."""
        with self._condition:
            self._withdraw_all(reason)

    def forget_document(self, uri: str) -> None:
        """Let go of a closed document's text, after what runs for it now."""
        self._run_chore(lambda service: service.forget(uri))

    def clear_caches(self) -> Future[bool]:
        """Resolves to whether there was anything to clear, once it is done."""
        return self._run_chore(lambda service: service.clear_caches())

    def status(self) -> WorkerStatus:
        """Where the thread stands."""
        with self._condition:
            running = self._running.uri if self._running is not None else None
            return WorkerStatus(
                self._state,
                self._message,
                running,
                len(self._pending),
                dict(self._service_status),
                tuple(round(elapsed_ms, 2) for elapsed_ms in self._cancel_to_idle_ms),
            )

    def stop(self, timeout_seconds: float = 1.0) -> bool:
        """Give up all work and end the thread; False when it is still busy after ``timeout_seconds``."""
        with self._condition:
            self._set_state(WorkerState.STOPPED, "stopped")
            self._withdraw_all("the server stops")
            while self._chores:
                _settle(self._chores.popleft()[1], False)
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    # Everything below is called with the condition held, or on the model thread.

    def _set_state(self, state: WorkerState, message: str) -> None:
        if self._state is WorkerState.STOPPED:
            return
        self._state, self._message = state, message
        self._on_state()

    def _want(self, settings: Settings) -> None:
        self._wanted = settings
        self._debounce.max_seconds = settings.latency.max_debounce_ms / 1000

    def _is_other_model(self, settings: Settings) -> bool:
        applied = self._applied
        return applied is not None and (applied.model, applied.remote) != (settings.model, settings.remote)

    def _withdraw_document(self, uri: str, reason: str) -> None:
        waiting = self._pending.pop(uri)
        if waiting is not None:
            waiting.withdraw(reason)
        if self._running is not None and self._running.uri == uri:
            self._running.withdraw(reason)

    def _withdraw_all(self, reason: str) -> None:
        for uri in self._pending.uris():
            self._withdraw_document(uri, reason)
        if self._running is not None:
            self._running.withdraw(reason)
        self._stop_idle_work()

    def _stop_idle_work(self) -> None:
        self._idle_work = None
        if self._running_idle_work is not None:
            self._running_idle_work.token.cancel()

    def _run_chore(self, chore: Callable[[Service], None]) -> Future[bool]:
        done: Future[bool] = Future()
        with self._condition:
            if self._state is not WorkerState.READY:
                done.set_result(False)
                return done
            self._stop_idle_work()
            self._chores.append((chore, done))
            self._condition.notify_all()
        return done

    def _work(self) -> None:
        compute_steadily()
        while (task := self._next_task()) is not None:
            task()

    def _next_task(self) -> Callable[[], None] | None:
        """Wait for the most urgent thing to do; None when the thread shall end."""
        with self._condition:
            while True:
                task = self._choose_task()
                if task is not None or self._state is WorkerState.STOPPED:
                    return task
                self._condition.wait(self._pending.seconds_to_next(time.monotonic()))

    def _choose_task(self) -> Callable[[], None] | None:
        if self._state is WorkerState.LOADING:
            return self._load
        if self._state is not WorkerState.READY or self._service is None:
            return None
        service = self._service
        if self._applied != self._wanted:
            return partial(self._apply, service)
        if self._chores:
            return partial(self._do_chore, service, *self._chores.popleft())
        if self._pending:
            self._running = self._pending.pop_due(time.monotonic())
            return None if self._running is None else partial(self._complete, service, self._running)
        if self._idle_work is not None:
            self._running_idle_work, self._idle_work = self._idle_work, None
            return partial(self._do_idle_work, service, self._running_idle_work)
        return None

    def _load(self) -> None:
        with self._condition:
            settings = self._wanted
            former, self._service = self._service, None  # before the new one: two models may not fit into memory
        if former is not None:
            self._close(former)
            del former
        service: Service | None = None
        message = "ready"
        try:
            service = self._build_service(settings, self._on_progress)
            forget_loaded_objects()
        except Exception as error:
            message = str(error) if isinstance(error, CompletionServerError) else f"loading failed: {error!r}"
            log.error("%s", message, exc_info=not isinstance(error, CompletionServerError))
        with self._condition:
            self._service, self._applied = service, settings
            if self._state is WorkerState.STOPPED:
                return
            if service is not None:
                self._refresh_status(service)
            if self._is_other_model(self._wanted):
                return  # changed meanwhile: the state still says loading, so the next task loads again
            self._set_state(WorkerState.ERROR if service is None else WorkerState.READY, message)

    def _close(self, service: Service) -> None:
        try:
            service.close()
        except Exception as error:  # noqa: BLE001 - logged
            self._log_once("a service could not be closed", error)

    def _apply(self, service: Service) -> None:
        with self._condition:
            settings = self._wanted
        try:
            service.apply_settings(settings)
        except Exception as error:  # noqa: BLE001 - logged
            self._log_once("new settings could not be applied", error)
        with self._condition:
            self._applied = settings
            self._refresh_status(service)

    def _do_chore(self, service: Service, chore: Callable[[Service], None], done: Future[bool]) -> None:
        try:
            chore(service)
        except Exception as error:  # noqa: BLE001 - logged
            self._log_once("a chore failed", error)
        with self._condition:
            self._refresh_status(service)
        _settle(done, True)

    def _complete(self, service: Service, job: Job) -> None:
        request = job.request
        job.started_at = time.monotonic()
        try:
            completion = service.complete(request)
        except BaseException as error:  # noqa: BLE001 - logged; the thread must live on
            self._log_once("a request failed", error)
            is_told = isinstance(error, SharedEngineError | ModelError)  # their messages hold no text of documents
            reason = str(error) if is_told else type(error).__name__
            is_down = isinstance(error, SharedEngineDownError)
            completion = Completion.empty(FinishReason.ERROR, {"reason": reason, "is_engine_down": is_down})
        with self._condition:
            self._running = None
            self._refresh_status(service)
            job.follow_up = following(request, completion)
            now = time.monotonic()
            self._debounce.note_reply(now - job.started_at, is_whole=job.withdrawn_at is None)
            if job.withdrawn_at is not None:
                self._cancel_to_idle_ms.append((now - job.withdrawn_at) * 1000)
        job.resolve(completion)

    def _do_idle_work(self, service: Service, work: IdleWork) -> None:
        try:
            work.run(service)
        except Exception as error:  # noqa: BLE001 - logged
            self._log_once("idle work failed", error)
        with self._condition:
            self._running_idle_work = None
            self._refresh_status(service)

    def _refresh_status(self, service: Service) -> None:
        try:
            self._service_status = service.status()
        except Exception as error:  # noqa: BLE001 - logged
            self._log_once("the service's status failed", error)

    def _log_once(self, what: str, error: BaseException) -> None:
        """The first of equal errors with its traceback, the rest at debug level."""
        key = (type(error).__name__, str(error)[:200])
        if key in self._seen_errors or len(self._seen_errors) >= _MAX_REMEMBERED_ERRORS:
            log.debug("%s again: %s", what, key[0])
            return
        self._seen_errors.add(key)
        if isinstance(error, SharedEngineError):
            log.error("%s: %s", what, error)
        else:
            log.error("%s", what, exc_info=error)


def _settle(future: Future[bool], value: bool) -> None:
    with contextlib.suppress(InvalidStateError):  # the client gave up waiting for it
        future.set_result(value)
