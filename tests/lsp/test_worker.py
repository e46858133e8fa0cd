"""The model thread with a service that moves only when the test says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import pytest

from completion_server.config import GenerationSettings, LatencySettings, ModelSettings, Settings
from completion_server.document import Document, Position
from completion_server.errors import ModelNotFoundError
from completion_server.lsp.debounce import Debounce
from completion_server.lsp.job import Job
from completion_server.lsp.worker import CompletionWorker, WorkerState
from completion_server.request import (
    CancellationToken,
    Completion,
    CompletionItem,
    CompletionRequest,
    Deadline,
    FinishReason,
    TriggerKind,
)

GUARD_SECONDS = 30


class SteppedService:
    """Every call announces itself and then takes one permit per forward pass."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.events: SimpleQueue[tuple[str, str]] = SimpleQueue()
        self.looked_ahead: SimpleQueue[tuple[CompletionRequest, Completion]] = SimpleQueue()
        self.permits = threading.Semaphore(0)
        self.num_passes = 0
        self.outcome: Any = FinishReason.STOP
        self.known: Completion | Exception | None = None

    def complete(self, request: CompletionRequest) -> Completion:
        self.events.put(("complete", request.request_id))
        return self._run(request)

    def warm(self, request: CompletionRequest) -> None:
        self.events.put(("warm", request.request_id))
        assert request.deadline.remaining_ms == float("inf")
        self._run(request)

    def recall(self, request: CompletionRequest) -> Completion | None:
        if isinstance(self.known, Exception):
            raise self.known
        return self.known

    def look_ahead(self, request: CompletionRequest, completion: Completion) -> None:
        self.looked_ahead.put((request, completion))

    def prefill(self, request: CompletionRequest) -> None:
        self.events.put(("prefill", request.request_id))
        self._run(request)

    def prefill_place(self, request: CompletionRequest) -> None:
        self.events.put(("prefill place", request.request_id))
        self._run(request)

    def _run(self, request: CompletionRequest) -> Completion:
        for _ in range(3):
            if request.cancellation.is_cancelled:
                self.events.put(("cancelled", request.request_id))
                return Completion.empty(FinishReason.CANCELLED)
            self.step()
            self.num_passes += 1
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        item = CompletionItem(request.request_id, request.position, request.position)
        return Completion((item,), self.outcome)

    def step(self) -> None:
        assert self.permits.acquire(timeout=GUARD_SECONDS)

    def apply_settings(self, settings: Settings) -> None:
        self.settings = settings
        self.events.put(("settings", settings.model.name))

    def clear_caches(self) -> None:
        self.events.put(("clear", ""))

    is_closed = False

    def forget(self, uri: str) -> None:
        pass

    def note_file_changes(self, uris: Sequence[str]) -> None:
        self.events.put(("files", " ".join(uris)))

    def close(self) -> None:
        self.is_closed = True

    def status(self) -> dict[str, object]:
        return {"passes": self.num_passes}


class Bench:
    """A worker, its present service and helpers to drive both."""

    def __init__(self, debounce: Debounce | None = None) -> None:
        self.services: SimpleQueue[SteppedService] = SimpleQueue()
        self.failures: list[BaseException] = []
        self.states: SimpleQueue[None] = SimpleQueue()
        self.worker = CompletionWorker(
            self.build, lambda: self.states.put(None), lambda _message, _fraction: None, debounce
        )
        self.service: SteppedService

    def build(self, settings: Settings, progress: Callable[[str, float | None], None]) -> SteppedService:
        progress("building", 0.5)
        if self.failures:
            raise self.failures.pop()
        service = SteppedService(settings)
        self.services.put(service)
        return service

    def wait_for(self, state: WorkerState) -> None:
        while self.worker.status().state is not state:
            self.states.get(timeout=GUARD_SECONDS)

    def ready(self) -> Bench:
        self.worker.start(Settings())
        self.service = self.services.get(timeout=GUARD_SECONDS)
        self.wait_for(WorkerState.READY)
        return self

    def submit(self, request_id: str, uri: str = "a", timeout_ms: float = 1e9) -> Job:
        request = CompletionRequest(
            document=Document.from_text("x", uri=uri),
            position=Position(0, 0),
            trigger=TriggerKind.AUTOMATIC,
            deadline=Deadline.after_ms(timeout_ms),
            cancellation=CancellationToken(),
            request_id=request_id,
        )
        return self.worker.submit(request)

    def expect(self, *event: str) -> None:
        assert self.service.events.get(timeout=GUARD_SECONDS) == event

    def passes(self, count: int) -> None:
        self.service.permits.release(count)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    if hasattr(bench, "service"):
        bench.passes(1000)
    assert bench.worker.stop(GUARD_SECONDS)


def result(job: Job) -> Completion:
    return job.future.result(GUARD_SECONDS)


def text(job: Job) -> str:
    return "".join(item.text for item in result(job).items)


def test_a_request_before_the_model_is_ready_is_answered_empty_at_once(bench: Bench) -> None:
    assert result(bench.submit("early")).finish_reason is FinishReason.SKIPPED
    bench.ready()
    job = bench.submit("1")
    bench.passes(3)
    assert text(job) == "1"


def test_newest_first_among_documents(bench: Bench) -> None:
    bench.ready()
    jobs = [bench.submit("a", uri="a")]
    bench.expect("complete", "a")
    jobs += [bench.submit(name, uri=name) for name in ("b", "c")]
    bench.passes(9)
    bench.expect("complete", "c")
    bench.expect("complete", "b")
    assert [text(job) for job in jobs] == ["a", "b", "c"]


def test_a_newer_request_supersedes_a_running_and_a_waiting_one(bench: Bench) -> None:
    bench.ready()
    running = bench.submit("1")
    bench.expect("complete", "1")
    waiting = bench.submit("2")
    newest = bench.submit("3")
    for job in (running, waiting):
        assert result(job).items == ()
        assert result(job).finish_reason is FinishReason.CANCELLED
    bench.passes(4)
    bench.expect("cancelled", "1")
    bench.expect("complete", "3")
    assert text(newest) == "3"


class LongDebounce(Debounce):
    """Lets one request wait for an hour, and the others not at all."""

    def __init__(self, patient: str) -> None:
        super().__init__()
        self._patient = patient

    def due_at(self, request: CompletionRequest) -> float:
        return request.arrived_at + (3600 if request.request_id == self._patient else 0)


def test_a_request_that_waits_for_the_next_key_costs_nothing_when_it_comes() -> None:
    bench = Bench(LongDebounce("1")).ready()
    overtaken = bench.submit("1")
    bench.submit("other", uri="b")
    bench.expect("complete", "other")
    newest = bench.submit("2")
    bench.passes(6)
    bench.expect("complete", "2")
    assert (text(newest), result(overtaken).finish_reason) == ("2", FinishReason.CANCELLED)
    assert overtaken.started_at is None
    assert bench.worker.stop(GUARD_SECONDS)


def test_the_model_is_asked_when_the_wait_is_over() -> None:
    bench = Bench(_Soon()).ready()
    bench.passes(3)
    job = bench.submit("1")
    assert text(job) == "1"
    assert job.started_at is not None
    assert job.started_at >= job.request.arrived_at + _Soon.seconds
    assert bench.worker.stop(GUARD_SECONDS)


class _Soon(Debounce):
    seconds = 0.02

    def due_at(self, request: CompletionRequest) -> float:
        return request.arrived_at + self.seconds


def test_the_longest_wait_is_a_setting() -> None:
    debounce = Debounce()
    bench = Bench(debounce).ready()
    bench.worker.apply_settings(Settings(latency=LatencySettings(max_debounce_ms=250)))
    assert debounce.max_seconds == 0.25
    assert bench.worker.stop(GUARD_SECONDS)


def test_a_withdrawn_job_ends_after_the_pass_that_runs(bench: Bench) -> None:
    bench.ready()
    job = bench.submit("1")
    bench.expect("complete", "1")
    bench.worker.withdraw(job, "by the test")
    assert result(job).trace == {"reason": "by the test"}
    bench.passes(3)
    bench.expect("cancelled", "1")
    assert bench.service.num_passes == 1


def test_a_withdrawn_job_that_waits_never_starts(bench: Bench) -> None:
    bench.ready()
    first = bench.submit("1")
    bench.expect("complete", "1")
    job = bench.submit("2", uri="b")
    bench.worker.withdraw(job, "by the test")
    bench.passes(6)
    assert text(first) == "1"
    assert bench.worker.clear_caches().result(GUARD_SECONDS)
    bench.expect("clear", "")


def test_an_edit_withdraws_only_its_own_document(bench: Bench) -> None:
    bench.ready()
    running = bench.submit("1", uri="a")
    bench.expect("complete", "1")
    waiting = bench.submit("2", uri="b")
    bench.worker.withdraw_document("a", "edited")
    bench.passes(4)
    assert result(running).items == ()
    assert text(waiting) == "2"


def test_expire_answers_what_waits_and_leaves_what_runs(bench: Bench) -> None:
    bench.ready()
    running = bench.submit("1", uri="a")
    bench.expect("complete", "1")
    waiting = bench.submit("2", uri="b")
    bench.worker.expire(waiting)
    bench.worker.expire(running)
    assert result(waiting).finish_reason is FinishReason.DEADLINE
    bench.passes(3)
    assert text(running) == "1"


@pytest.mark.parametrize("error", [RuntimeError("x"), MemoryError(), SystemExit(3), KeyboardInterrupt()])
def test_every_job_is_resolved_when_the_service_raises(
    bench: Bench, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    bench.ready()
    bench.service.outcome = error
    bench.passes(9)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert result(bench.submit("1")).finish_reason is FinishReason.ERROR
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is not None


def test_idle_work_after_a_deadline_and_its_end_by_a_new_job(bench: Bench) -> None:
    bench.ready()
    bench.service.outcome = FinishReason.DEADLINE
    job = bench.submit("1")
    bench.passes(4)
    assert text(job) == "1"
    bench.expect("complete", "1")
    bench.worker.continue_later(job)
    bench.expect("warm", "1")
    job = bench.submit("2", uri="b")
    bench.passes(4)
    bench.expect("cancelled", "1")
    bench.expect("complete", "2")
    assert text(job) == "2"


def test_no_idle_work_after_a_cancelled_or_finished_job(bench: Bench) -> None:
    bench.ready()
    job = bench.submit("1")
    bench.passes(3)
    assert text(job) == "1"
    bench.expect("complete", "1")
    bench.service.outcome = FinishReason.DEADLINE
    job = bench.submit("2")
    bench.expect("complete", "2")
    bench.passes(2)
    bench.worker.withdraw(job, "by the test")
    bench.passes(1)
    bench.worker.continue_later(job)
    assert bench.worker.clear_caches().result(GUARD_SECONDS)
    events = []
    while not bench.service.events.empty():
        events.append(bench.service.events.get())
    assert ("warm", "2") not in events


def test_settings_come_before_the_next_job(bench: Bench) -> None:
    bench.ready()
    job = bench.submit("1")
    bench.expect("complete", "1")
    bench.worker.apply_settings(Settings(generation=GenerationSettings(temperature=1.0)))
    second = bench.submit("2", uri="b")
    bench.passes(6)
    bench.expect("settings", "smollm2-135m")
    bench.expect("complete", "2")
    assert (text(job), text(second)) == ("1", "2")


def test_another_model_is_loaded_anew(bench: Bench) -> None:
    bench.ready()
    job = bench.submit("1")
    bench.expect("complete", "1")
    bench.worker.apply_settings(Settings(model=ModelSettings(name="other")))
    assert result(job).items == ()
    assert result(bench.submit("2")).finish_reason is FinishReason.SKIPPED
    bench.passes(3)
    bench.service = bench.services.get(timeout=GUARD_SECONDS)
    assert bench.service.settings.model.name == "other"
    bench.wait_for(WorkerState.READY)
    job = bench.submit("3")
    bench.passes(3)
    assert text(job) == "3"


def test_settings_that_change_while_loading_are_not_lost() -> None:
    gate = threading.Event()
    built: list[str] = []

    def build(settings: Settings, _progress: Callable[[str, float | None], None]) -> SteppedService:
        built.append(settings.model.name)
        assert gate.wait(GUARD_SECONDS)
        return SteppedService(settings)

    ready = threading.Event()
    worker = CompletionWorker(
        build, lambda: ready.set() if worker.status().state is WorkerState.READY else None, lambda _m, _f: None
    )
    worker.start(Settings(model=ModelSettings(name="first")))
    worker.apply_settings(Settings(model=ModelSettings(name="second")))
    gate.set()
    assert ready.wait(GUARD_SECONDS)
    assert built[-1] == "second"
    assert worker.stop(GUARD_SECONDS)


def test_a_failed_load_is_an_error_that_new_settings_may_mend(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.failures = [ValueError("unforeseen"), ModelNotFoundError("run this command")]
    bench.worker.start(Settings())
    bench.wait_for(WorkerState.ERROR)
    assert bench.worker.status().message == "run this command"
    assert not bench.worker.clear_caches().result(GUARD_SECONDS)
    bench.worker.apply_settings(Settings())
    while "unforeseen" not in bench.worker.status().message:
        bench.states.get(timeout=GUARD_SECONDS)
    bench.worker.apply_settings(Settings())
    bench.service = bench.services.get(timeout=GUARD_SECONDS)
    bench.wait_for(WorkerState.READY)
    with_traceback = [record for record in caplog.records if record.exc_info]
    assert len(with_traceback) == 1, "only what was not foreseen"


def test_stop_resolves_everything(bench: Bench) -> None:
    bench.ready()
    jobs = [bench.submit("a", uri="a")]
    bench.expect("complete", "a")
    jobs.append(bench.submit("b", uri="b"))
    chore = bench.worker.clear_caches()
    assert not bench.worker.stop(0), "a forward pass is running"
    assert all(result(job).items == () for job in jobs)
    assert not chore.result(GUARD_SECONDS)
    assert result(bench.submit("late")).finish_reason is FinishReason.SKIPPED
    bench.passes(1)
    assert bench.worker.stop(GUARD_SECONDS)


def test_stop_before_start() -> None:
    worker = CompletionWorker(Bench().build, lambda: None, lambda _m, _f: None)
    assert worker.stop()


def test_an_answer_after_the_client_gave_up_is_dropped(bench: Bench) -> None:
    bench.ready()
    job = bench.submit("1")
    assert job.future.cancel()
    bench.passes(3)
    bench.expect("complete", "1")
    second = bench.submit("2", uri="b")
    bench.passes(3)
    assert text(second) == "2"


def test_a_chore_given_up_by_the_client_does_not_end_the_thread(bench: Bench) -> None:
    bench.ready()
    job = bench.submit("1")
    bench.expect("complete", "1")
    chore: Future[bool] = bench.worker.clear_caches()
    assert chore.cancel()
    bench.passes(3)
    assert text(job) == "1"
    second = bench.submit("2")
    bench.passes(3)
    assert text(second) == "2"


def test_jobs_from_many_threads_are_each_resolved_once(bench: Bench) -> None:
    bench.ready()
    bench.passes(10_000)
    jobs: SimpleQueue[Job] = SimpleQueue()

    def submit_many(name: str) -> None:
        for number in range(100):
            job = bench.submit(f"{name}{number}", uri=str(number % 3))
            jobs.put(job)
            if number % 5 == 0:
                bench.worker.withdraw(job, "by the test")

    threads = [threading.Thread(target=submit_many, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD_SECONDS)
    for _ in range(400):
        job = jobs.get(timeout=GUARD_SECONDS)
        assert text(job) in ("", job.request.request_id)


def test_a_known_answer_does_not_wait_for_the_pass_that_runs(bench: Bench) -> None:
    bench.ready()
    running = bench.submit("1")
    bench.expect("complete", "1")
    item = CompletionItem("known", Position(0, 0), Position(0, 0))
    bench.service.known = Completion((item,), FinishReason.STOP)
    other = bench.submit("2", uri="b")
    assert other.future.result(0).items[0].text == "known"
    assert not running.future.done()
    newer = bench.submit("3")  # for the same document: the older one is of no use any more
    assert newer.future.result(0).items[0].text == "known"
    assert running.future.result(0).finish_reason is FinishReason.CANCELLED


def test_an_error_while_recalling_leaves_the_question_to_the_model(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.ready()
    bench.service.known = RuntimeError("broken cache")
    job = bench.submit("1")
    bench.passes(3)
    assert text(job) == "1"
    assert "looking up a known answer failed" in caplog.text
