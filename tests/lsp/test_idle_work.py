"""What the model thread does while nobody asks, and how it gives way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from completion_server.document import Document, Position
from completion_server.request import CancellationToken, CompletionRequest, Deadline, TriggerKind
from tests.lsp.test_worker import Bench, text


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.passes(1000)
    bench.worker.stop(30)


def opened(request_id: str) -> CompletionRequest:
    document = Document.from_text("x", uri=request_id)
    never, token = Deadline.never(), CancellationToken()
    return CompletionRequest(document, Position(0, 1), TriggerKind.AUTOMATIC, never, token, request_id=request_id)


def test_an_opened_document_is_read_until_a_job_comes(bench: Bench) -> None:
    bench.ready()
    bench.worker.prepare(opened("1"))
    bench.expect("prefill", "1")
    job = bench.submit("2")
    bench.passes(4)
    bench.expect("cancelled", "1")
    bench.expect("complete", "2")
    assert text(job) == "2"


def test_of_many_opened_documents_the_last_is_read(bench: Bench) -> None:
    bench.ready()
    for name in ("1", "2", "3"):
        bench.worker.prepare(opened(name))
    bench.passes(20)
    seen = [bench.service.events.get(timeout=30)]
    while seen[-1] != ("prefill", "3"):
        seen.append(bench.service.events.get(timeout=30))
    assert ("prefill", "2") not in seen or ("cancelled", "2") in seen


def test_nothing_is_read_beside_a_job_or_before_the_model_is_there(bench: Bench) -> None:
    bench.worker.prepare(opened("early"))
    bench.ready()
    job = bench.submit("1")
    bench.expect("complete", "1")
    bench.worker.prepare(opened("beside"))
    bench.passes(3)
    assert text(job) == "1"
    assert bench.worker.clear_caches().result(30)
    bench.expect("clear", "")
    assert bench.service.events.empty()


def test_a_place_is_read_only_when_there_is_nothing_else_to_do(bench: Bench) -> None:
    bench.ready()
    bench.worker.prepare(opened("1"))
    bench.expect("prefill", "1")
    bench.worker.prepare_place(opened("beside"))
    bench.passes(3)
    assert bench.worker.clear_caches().result(30)
    seen = [bench.service.events.get(timeout=30)]
    while seen[-1] != ("clear", ""):
        seen.append(bench.service.events.get(timeout=30))
    assert ("prefill place", "beside") not in seen
    bench.worker.prepare_place(opened("2"))
    bench.expect("prefill place", "2")


def test_a_place_that_is_read_gives_way_to_a_job(bench: Bench) -> None:
    bench.ready()
    bench.worker.prepare_place(opened("1"))
    bench.expect("prefill place", "1")
    job = bench.submit("2")
    bench.passes(4)
    bench.expect("cancelled", "1")
    bench.expect("complete", "2")
    assert text(job) == "2"


def test_a_well_finished_answer_is_looked_ahead_from_when_it_has_been_sent(bench: Bench) -> None:
    bench.ready()
    job = bench.submit("1")
    bench.passes(3)
    assert text(job) == "1"
    assert bench.service.looked_ahead.empty()
    bench.worker.continue_later(job)
    request, completion = bench.service.looked_ahead.get(timeout=30)
    assert (request.request_id, completion.items[0].text) == ("1", "1")
    assert request.deadline.remaining_ms == float("inf")


def test_how_long_the_model_went_on_after_a_cancel_is_known(bench: Bench) -> None:
    bench.ready()
    job = bench.submit("1")
    bench.expect("complete", "1")
    bench.worker.withdraw(job, "cancelled")
    bench.passes(1)
    bench.expect("cancelled", "1")
    assert bench.worker.clear_caches().result(30)
    (elapsed_ms,) = bench.worker.status().cancel_to_idle_ms
    assert elapsed_ms >= 0
