"""The service with its gate: what is hidden, what the cache makes of it, and what the trace says."""

from __future__ import annotations

import pytest

from completion_server.config import GenerationSettings, Settings
from completion_server.engine.engine import Generation, GenerationResult, GenerationStats
from completion_server.request import FinishReason, TriggerKind
from tests.service.test_service import ScriptedEngine, make_request, make_service


class GuessingEngine(ScriptedEngine):
    """One character per token, with these log-probabilities; further texts are surer by one nat each."""

    def __init__(self, *texts: str, logprobs: tuple[float, ...] = ()) -> None:
        super().__init__(*texts)
        self.logprobs = logprobs

    def generate(self, prompt, sampling, stop_rules, deadline, cancellation, num_alternatives=1):  # type: ignore[no-untyped-def]
        self.num_calls += 1
        made = []
        for number, text in enumerate(self.texts[:num_alternatives]):
            logprobs = tuple(logprob + number for logprob in self.logprobs)
            ends = tuple(range(1, len(text) + 1))
            made.append(Generation(text, ends, logprobs, FinishReason.STOP, "line_end", ends))
        return GenerationResult(tuple(made), FinishReason.STOP, GenerationStats())


def guessing(text: str, *logprobs: float, suggestions: str = "balanced"):  # type: ignore[no-untyped-def]
    engine = GuessingEngine(text, logprobs=logprobs)
    settings = Settings(generation=GenerationSettings(suggestions=suggestions))  # type: ignore[arg-type]
    return engine, make_service(engine, settings)[0]


def test_what_is_probably_wrong_is_hidden_and_the_trace_says_so() -> None:
    _, service = guessing("secret", *[-4.0] * 6)
    completion = service.complete(make_request("x = ˇ\n"))
    assert completion.items == ()
    trace = completion.trace
    assert (trace["is_hidden"], trace["gate_score"], trace["gate_threshold"]) == (True, 0.0183, 0.25)
    assert "hidden" in str(trace["reason"])
    assert "secret" not in str(trace)


@pytest.mark.parametrize("suggestions", ["eager", "balanced", "quiet"])
def test_asked_for_by_hand_nothing_is_hidden(suggestions: str) -> None:
    _, service = guessing("secret", *[-4.0] * 6, suggestions=suggestions)
    request = make_request("x = ˇ\n", trigger=TriggerKind.INVOKED)
    assert service.complete(request).items
    # And what was shown then is not taken away while it is typed along.
    assert [item.text for item in service.complete(make_request("x = sˇ\n")).items] == ["ecret"]


def test_eager_shows_everything() -> None:
    _, service = guessing("secret", *[-4.0] * 6, suggestions="eager")
    assert service.complete(make_request("x = ˇ\n")).items


def test_what_is_hidden_is_neither_computed_again_nor_shown_before_the_rest_is_sure() -> None:
    engine, service = guessing("abcdef", -9.0, -9.0, -0.1, -0.1, -0.1, -0.1)
    shown = [
        [item.text for item in service.complete(make_request(f"x = {typed}ˇ\n")).items]
        for typed in ("", "", "a", "ab", "abc")
    ]
    assert shown == [[], [], [], ["cdef"], ["def"]]
    assert engine.num_calls == 1


def test_what_is_shown_stays_while_it_is_typed_along() -> None:
    engine, service = guessing("abcdef", -0.1, -0.1, -0.1, -0.1, -0.1, -4.0)
    assert service.complete(make_request("x = ˇ\n")).items
    assert [item.text for item in service.complete(make_request("x = abcdeˇ\n")).items] == ["f"]
    assert engine.num_calls == 1


def test_tokens_that_a_filter_cut_off_do_not_count() -> None:
    # The last line repeats what follows and is dropped.
    text = "abc\nfollows()"
    _, service = guessing(text, *[-0.1] * 4, *[-9.0] * 9)
    completion = service.complete(make_request("if x:ˇ\nfollows()\n"))
    assert [item.text for item in completion.items] == ["abc"]
    assert completion.trace["gate_score"] == pytest.approx(0.9048, abs=1e-3)


def test_several_items_come_best_first_and_distinct() -> None:
    engine = GuessingEngine("aaa", "bbb", "bbb ", logprobs=(-3.0,) * 3)
    service, _ = make_service(engine)
    request = make_request("x = ˇ\n", trigger=TriggerKind.INVOKED, max_items=3)
    assert [item.text for item in service.complete(request).items] == ["bbb", "aaa"]
