"""Whose work comes next, what is paused for it, and what becomes of work that is given up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from completion_server.engine_host.scheduler import Job, Scheduler, SkippedError, Urgency
from completion_server.request import CancellationToken, FinishReason

SECONDS = 30
HOUSEKEEPING, INTERACTIVE, REQUEST, IDLE = Urgency


class Bench:
    """A scheduler and a log of what ran; the work looks at its token as the engine does."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.cpu: list[tuple[str, float]] = []
        self.scheduler = Scheduler(lambda owner, seconds: self.cpu.append((owner, seconds)))
        self.scheduler.start()

    def submit(self, name: str, urgency: Urgency = INTERACTIVE) -> Job:
        return self.scheduler.submit(name, lambda _token: self.log.append(name), urgency)

    def submit_passes(self, name: str, urgency: Urgency, on_pass: Callable[[int], None], count: int = 3) -> Job:
        """Work of ``count`` forward passes; ``on_pass`` is called within each."""

        def work(token: CancellationToken) -> str:
            for number in range(count):
                if token.is_cancelled:
                    self.log.append(f"{name} cancelled")
                    return "cancelled"
                self.log.append(f"{name} {number}")
                on_pass(number)
            return "done"

        return self.scheduler.submit(name, work, urgency)

    def hold(self) -> threading.Event:
        """Keep the thread busy until the event is set, so that what is submitted waits."""
        running, release = threading.Event(), threading.Event()

        def work(_token: CancellationToken) -> None:
            running.set()
            assert release.wait(SECONDS)

        self.scheduler.submit("hold", work, INTERACTIVE)
        assert running.wait(SECONDS)
        return release


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.scheduler.stop()
    assert bench.scheduler.join(SECONDS)


def result(job: Job) -> object:
    return job.future.result(SECONDS)


def test_the_most_urgent_and_among_them_the_newest_goes_first(bench: Bench) -> None:
    release = bench.hold()
    jobs = [
        bench.submit(name, urgency)
        for name, urgency in (
            ("s", HOUSEKEEPING),
            ("a", IDLE),
            ("b", INTERACTIVE),
            ("c", REQUEST),
            ("d", INTERACTIVE),
            ("e", IDLE),
        )
    ]
    release.set()
    for job in jobs:
        result(job)
    assert bench.log == ["s", "d", "b", "c", "e", "a"]


def test_settings_are_put_to_use_in_the_order_in_which_they_came(bench: Bench) -> None:
    release = bench.hold()
    jobs = [bench.submit(name, HOUSEKEEPING) for name in ("old", "new", "clear")]
    release.set()
    for job in jobs:
        result(job)
    assert bench.log == ["old", "new", "clear"]


@pytest.mark.parametrize("lower", [REQUEST, IDLE])
def test_urgent_work_is_done_between_two_passes_of_less_urgent_work(bench: Bench, lower: Urgency) -> None:
    urgent: list[Job] = []

    def on_pass(number: int) -> None:
        if number == 0:
            urgent.append(bench.submit("urgent"))

    assert result(bench.submit_passes("idle", lower, on_pass)) == "done"
    assert result(urgent[0]) is None
    assert bench.log == ["idle 0", "urgent", "idle 1", "idle 2"]


@pytest.mark.parametrize("urgency", list(Urgency))
def test_equals_do_not_interrupt_each_other(bench: Bench, urgency: Urgency) -> None:
    others: list[Job] = []
    passes = bench.submit_passes("first", urgency, lambda _number: others.append(bench.submit("other", urgency)))
    assert result(passes) == "done"
    for job in others:
        result(job)
    assert bench.log[:3] == ["first 0", "first 1", "first 2"]


def test_pauses_nest(bench: Bench) -> None:
    inner: list[Job] = []

    def start_request(number: int) -> None:
        if number == 0:
            inner.append(bench.submit_passes("request", REQUEST, start_urgent, 2))

    def start_urgent(number: int) -> None:
        if number == 0:
            inner.append(bench.submit("urgent"))

    assert result(bench.submit_passes("idle", IDLE, start_request, 2)) == "done"
    for job in inner:
        result(job)
    assert bench.log == ["idle 0", "request 0", "urgent", "request 1", "idle 1"]


def test_cancelling_ends_running_work_after_its_pass(bench: Bench) -> None:
    jobs: list[Job] = []
    submitted = threading.Event()

    def on_pass(_number: int) -> None:
        assert submitted.wait(SECONDS)
        bench.scheduler.cancel(jobs[0])

    jobs.append(bench.submit_passes("long", INTERACTIVE, on_pass))
    submitted.set()
    assert result(jobs[0]) == "cancelled"
    assert bench.log == ["long 0", "long cancelled"]


@pytest.mark.parametrize("is_expired", [True, False])
def test_work_that_waits_is_given_up_at_once(bench: Bench, is_expired: bool) -> None:
    release = bench.hold()
    job = bench.submit("never")
    (bench.scheduler.expire if is_expired else bench.scheduler.cancel)(job)
    with pytest.raises(SkippedError) as skipped:
        result(job)
    assert skipped.value.reason is (FinishReason.DEADLINE if is_expired else FinishReason.CANCELLED)
    release.set()
    result(bench.submit("last"))
    assert bench.log == ["last"]


def test_a_deadline_does_not_end_what_runs(bench: Bench) -> None:
    jobs: list[Job] = []
    submitted = threading.Event()

    def on_pass(_number: int) -> None:
        assert submitted.wait(SECONDS)
        bench.scheduler.expire(jobs[0])

    jobs.append(bench.submit_passes("long", INTERACTIVE, on_pass, 2))
    submitted.set()
    assert result(jobs[0]) == "done"


def test_an_error_reaches_who_waits_and_the_thread_lives_on(bench: Bench) -> None:
    def work(_token: CancellationToken) -> None:
        raise ZeroDivisionError("the scripted failure")

    with pytest.raises(ZeroDivisionError):
        result(bench.scheduler.submit("broken", work, INTERACTIVE))
    assert result(bench.submit("next")) is None


def test_processor_time_is_counted_for_its_owner_only(bench: Bench) -> None:
    def burn(_number: int) -> None:
        if _number == 0:
            bench.scheduler.submit("urgent", lambda _token: sum(range(1_000_000)), INTERACTIVE)

    result(bench.submit_passes("idle", IDLE, burn, 2))
    spent = dict(bench.cpu)
    assert [owner for owner, _ in bench.cpu] == ["urgent", "idle"]
    assert spent["urgent"] > spent["idle"] > 0


def test_stopping_settles_everything(bench: Bench) -> None:
    release = bench.hold()
    waiting: list[Future[object]] = [bench.submit("a").future, bench.submit("b", IDLE).future]
    bench.scheduler.stop()
    release.set()
    for future in [*waiting, bench.submit("late").future]:
        with pytest.raises(SkippedError):
            future.result(SECONDS)
