"""The share of the processor that suggestions may take."""

from __future__ import annotations

from completion_server.config import GenerationSettings, Settings
from completion_server.cpu_budget import CpuBudget
from completion_server.request import FinishReason, TriggerKind
from tests.service.test_service import ScriptedEngine, make_request, make_service


class Clocks:
    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def budget(self, max_percent: int) -> CpuBudget:
        return CpuBudget(max_percent, 2, now=lambda: self.wall, used=lambda: self.cpu)

    def work(self, wall_s: float, cpu_s: float) -> None:
        self.wall += wall_s
        self.cpu += cpu_s


def test_a_burst_is_free_and_steady_use_above_the_share_is_not() -> None:
    clocks = Clocks()
    budget = clocks.budget(25)  # of two cores: 0.5 CPU seconds a second, 15 at once
    clocks.work(5, 10)
    assert budget.is_left()
    clocks.work(5, 10)
    assert not budget.is_left()
    clocks.work(9, 0)
    assert not budget.is_left() or clocks.wall == 19
    clocks.work(20, 0)
    assert budget.is_left()


def test_rest_does_not_add_up_without_end() -> None:
    clocks = Clocks()
    budget = clocks.budget(50)
    clocks.work(10_000, 0)
    assert budget.is_left()
    clocks.work(0, 31)
    assert not budget.is_left()


def test_a_hundred_percent_is_no_limit() -> None:
    clocks = Clocks()
    budget = clocks.budget(100)
    clocks.work(1, 1000)
    assert budget.is_left()


def test_without_a_budget_nothing_comes_by_itself_and_by_hand_all_does() -> None:
    engine = ScriptedEngine("foo")
    service, _ = make_service(engine, Settings(generation=GenerationSettings(max_cpu_percent=1)))
    clocks = Clocks()
    service._cpu_budget = clocks.budget(1)
    assert service.complete(make_request("x = ˇ\n")).items
    clocks.work(1, 5)
    refused = service.complete(make_request("y = ˇ\n"))
    assert (refused.items, refused.finish_reason) == ((), FinishReason.SKIPPED)
    assert refused.trace["reason"] == "the CPU budget is used up"
    # What is known already costs nothing.
    assert service.complete(make_request("x = ˇ\n")).items
    service.warm(make_request("z = ˇ\n"))
    service.prefill(make_request("z = ˇ\n"))
    assert (engine.num_calls, engine.num_prefills) == (1, 0)
    assert service.complete(make_request("y = ˇ\n", trigger=TriggerKind.INVOKED)).items
