"""The long runs, made short: with a server that is well, and with servers that are not."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from completion_server.environment import for_child
from completion_server.evaluation.endurance_documents import NUM_DOCUMENTS, long_documents
from completion_server.evaluation.process_samples import Growth, ProcessSample, Samples
from completion_server.evaluation.soak import SoakPlan, SoakReport, soak
from completion_server.evaluation.steady_load import LoadPlan, LoadReport, Waits, steady_load
from completion_server.lsp.client import EditorClient, ReplyCounts

SETTINGS = {"log": {"acceptance": False, "traces": False}}
SHORT = SoakPlan(seconds=4, idle_seconds=1, rest_seconds=0.3, pace=0.02)


@asynccontextmanager
async def started(fault: str, tmp_path: Path) -> AsyncIterator[EditorClient]:
    command = (sys.executable, "-m", "tests.support.unwell_server", fault)
    env = {**for_child(), "XDG_STATE_HOME": str(tmp_path)}
    async with EditorClient.start(command, initialization_options=SETTINGS, root=tmp_path, env=env) as editor:
        await editor.wait_until_loaded()
        yield editor


async def short_soak(fault: str, tmp_path: Path) -> SoakReport:
    async with started(fault, tmp_path) as editor:
        return await soak(editor, long_documents(), SHORT, lambda _message, _fraction: None, SETTINGS)


async def short_load(fault: str, tmp_path: Path) -> LoadReport:
    async with started(fault, tmp_path) as editor:
        plan = LoadPlan(seconds=2, rate=50)
        return await steady_load(editor, long_documents(), plan, lambda _message, _fraction: None)


def test_six_documents_of_at_least_four_languages() -> None:
    documents = long_documents()
    assert len({each.uri for each in documents}) == len(documents) == NUM_DOCUMENTS
    assert len({each.language_id for each in documents}) >= 4
    assert all("".join(each.lines) == each.text for each in documents)


async def test_a_server_that_is_well(tmp_path: Path) -> None:
    report = await short_soak("none", tmp_path)
    growth = report.growth["server"]
    assert report.replies.num_requests > 50
    assert report.replies == ReplyCounts(report.replies.num_requests, 0, 0, 0)
    assert growth.num_descriptors[0] == growth.num_descriptors[1]
    assert growth.num_threads[0] == growth.num_threads[1]
    assert report.documents_equal
    assert report.num_restarts == 0
    assert report.actions["keys"] > 50
    assert not {"descriptors", "threads", "replies", "requests"} & set(" ".join(report.problems).split())


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("memory", "server: memory grew by"),
        ("descriptors", "server: descriptors grew from"),
        ("threads", "server: threads grew from"),
        ("cpu", "% CPU while idle"),
        ("echo", "replies came for requests that had one"),
    ],
)
async def test_a_server_that_is_not_well_is_found_out(fault: str, problem: str, tmp_path: Path) -> None:
    report = await short_soak(fault, tmp_path)
    assert problem in "\n".join(report.problems), report.as_dict()
    assert report.as_dict()["passed"] is False


async def test_every_request_of_a_load_is_sent_and_answered(tmp_path: Path) -> None:
    report = await short_load("none", tmp_path)
    assert report.counts["requests"] == report.change_wait_ms.count == report.round_trip_ms.count == 100
    assert report.control_round_trip_ms.count == 100
    assert 0 < report.change_wait_ms.p50 < report.round_trip_ms.max
    assert not [each for each in report.problems if "waited" not in each]


async def test_a_load_with_a_server_that_answers_twice(tmp_path: Path) -> None:
    report = await short_load("echo", tmp_path)
    assert any("that had one" in each for each in report.problems)


def sample(at: float, rss: int) -> ProcessSample:
    return ProcessSample(at, rss, 9, 9)


def test_growth_is_between_two_medians() -> None:
    memory = [900, 100, 101, 900, 102, 110, 111, 5]
    samples = Samples(1, {"server": [sample(10.0 * number, rss) for number, rss in enumerate(memory)]})
    growth = samples.growth(early_at=20, window=20)["server"]
    assert growth.rss_bytes == (101, 110)
    assert Growth((100, 103), (9, 9), (9, 9)).rss_percent == pytest.approx(3)


def test_a_process_in_the_place_of_another_is_a_restart() -> None:
    assert Samples(1, {}, {"server": {1}, "engine": {2, 3, 4}}).num_restarts == 2


def test_waits() -> None:
    assert Waits.of([]) == Waits(0, 0.0, 0.0, 0.0)
    assert Waits.of([1.0] * 99 + [50.0]).max == 50.0
