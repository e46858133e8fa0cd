"""The straight line, over a tiny random model: shapes, caches, limits; never the quality of the text."""

from __future__ import annotations

import dataclasses
import pickle
from types import SimpleNamespace

import pytest

from completion_server.config import CacheSettings, GenerationSettings, Settings
from completion_server.document import Document, Position
from completion_server.engine.engine import GenerationResult, GenerationStats
from completion_server.engine.writing import Generation
from completion_server.model import Prompt, SamplingParams
from completion_server.power import PowerSource
from completion_server.request import (
    CancellationToken,
    CompletionRequest,
    Deadline,
    FinishReason,
    SelectedCompletion,
    TriggerKind,
)
from completion_server.service import CompletionService
from completion_server.snippet import CrossFileContext
from tests.support.marked import parse_marked


class ScriptedEngine:
    """Answers with ``texts``; remembers what it was asked."""

    def __init__(self, *texts: str, reason: FinishReason = FinishReason.STOP) -> None:
        self.texts = list(texts)
        self.reason = reason
        self.num_calls = 0
        self.num_prefills = 0
        self.num_missing = 0
        self.sampling: SamplingParams | None = None
        self.is_cleared = False
        self.settings: Settings | None = None

    def generate(self, prompt, sampling, stop_rules, deadline, cancellation, num_alternatives=1):  # type: ignore[no-untyped-def]
        self.num_calls += 1
        self.sampling = sampling
        made = tuple(
            Generation(text, (1,), (-0.5,), self.reason, "line_end") for text in self.texts[:num_alternatives]
        )
        return GenerationResult(made, self.reason, GenerationStats())

    def prefill(self, prompt: Prompt, deadline: Deadline, cancellation: CancellationToken) -> int:
        self.num_prefills += 1
        return 1

    def num_missing_tokens(self, prompt: Prompt) -> int:
        return self.num_missing

    def num_tokens_within(self, elapsed_ms: float) -> float:
        return elapsed_ms

    def clear(self) -> None:
        self.is_cleared = True

    def apply_settings(self, settings: Settings) -> None:
        self.settings = settings

    def status(self) -> dict[str, object]:
        return {"model": "scripted"}

    def close(self) -> None:
        pass


class PlainPrompts:
    """Remembers the text that the model would have been given."""

    starts_with_prefix = True

    def __init__(self) -> None:
        self.places: list[tuple[Document, Position]] = []
        self.drafts: list[str] = []
        self.budgets: list[tuple[int, int]] = []

    def shows_snippets(self, settings: Settings) -> bool:
        return False

    def uses_local_text(self, settings: Settings) -> bool:
        return False

    def build(
        self,
        document: Document,
        position: Position,
        settings: Settings,
        max_new_tokens: int,
        draft: str = "",
        context: CrossFileContext | None = None,
    ) -> Prompt:
        self.places.append((document, position))
        self.drafts.append(draft)
        self.budgets.append((settings.context.max_prompt_tokens, settings.context.max_suffix_tokens))
        return Prompt((1,))


def make_service(
    engine: ScriptedEngine, settings: Settings | None = None
) -> tuple[CompletionService, PlainPrompts]:
    prompts = PlainPrompts()
    return CompletionService(engine, prompts, settings or Settings()), prompts


NO_LOOK_AHEAD = Settings(generation=GenerationSettings(look_ahead=False))


def make_request(marked: str, **changes: object) -> CompletionRequest:
    document, position = parse_marked(marked)
    request = CompletionRequest(
        document, position, TriggerKind.AUTOMATIC, Deadline.never(), CancellationToken(), request_id="7"
    )
    return dataclasses.replace(request, **changes)  # type: ignore[arg-type]


def test_an_item_is_inserted_at_the_cursor() -> None:
    service, _ = make_service(ScriptedEngine("1 + 2"))
    completion = service.complete(make_request("x = ˇ\n"))
    (item,) = completion.items
    assert (item.text, item.start, item.end) == ("1 + 2", Position(0, 4), Position(0, 4))
    assert completion.finish_reason is FinishReason.STOP


def test_inside_a_word_the_model_is_not_asked() -> None:
    engine = ScriptedEngine("x")
    completion = make_service(engine)[0].complete(make_request("foˇo"))
    assert (completion.items, completion.finish_reason) == ((), FinishReason.SKIPPED)
    assert engine.num_calls == 0
    assert completion.trace["trigger_reason"] == "inside_word"


def test_the_trace_never_holds_source_text() -> None:
    service, _ = make_service(ScriptedEngine("secret_answer"))
    completion = service.complete(make_request("password = 'secret_text' + ˇ\n"))
    assert completion.items
    assert "secret" not in repr(completion.trace)
    assert completion.trace["num_shown_chars"] == len("secret_answer")


def test_the_same_place_again_is_answered_from_the_cache() -> None:
    engine = ScriptedEngine("1 + 2")
    service, _ = make_service(engine)
    first = service.complete(make_request("x = ˇ\n"))
    second = service.complete(make_request("x = ˇ\n"))
    assert second.items == first.items
    assert engine.num_calls == 1
    assert second.trace["from_completion_cache"] is True


@pytest.mark.parametrize("other", ["x = ˇ\ny", "x =  ˇ\n", "x = ˇ", "y = ˇ\n", "\nx = ˇ\n"])
def test_another_suffix_or_white_space_is_another_place(other: str) -> None:
    engine = ScriptedEngine("1 + 2")
    service, _ = make_service(engine)
    service.complete(make_request("x = ˇ\n"))
    service.complete(make_request(other))
    assert engine.num_calls == 2


def test_typing_along_a_suggestion_asks_nobody() -> None:
    engine = ScriptedEngine("foo(bar)")
    service, _ = make_service(engine)
    service.complete(make_request("x = ˇ\n"))
    for typed in ("f", "fo", "foo(b"):
        completion = service.complete(make_request(f"x = {typed}ˇ\n"))
        assert [item.text for item in completion.items] == ["foo(bar)"[len(typed) :]]
    assert engine.num_calls == 1
    service.complete(make_request("x = foo(cˇ\n"))
    assert engine.num_calls == 2
    service.complete(make_request("x = foo(bar)ˇ\n"))  # nothing is left of it
    assert engine.num_calls == 3


@pytest.mark.parametrize("reason", [FinishReason.DEADLINE, FinishReason.CANCELLED])
def test_failures_are_never_cached(reason: FinishReason) -> None:
    engine = ScriptedEngine("foo bar", reason=reason)
    service, _ = make_service(engine)
    service.complete(make_request("x = ˇ\n"))
    service.complete(make_request("x = ˇ\n"))
    assert engine.num_calls == 2


def test_a_place_without_a_suggestion_is_asked_about_once_but_by_hand_again() -> None:
    engine = ScriptedEngine("  ")
    service, _ = make_service(engine)
    for _ in range(2):
        assert service.complete(make_request("x = ˇ\n")).items == ()
        assert engine.num_calls == 1
    service.complete(make_request("x = ˇ\n", trigger=TriggerKind.INVOKED))
    assert engine.num_calls == 2
    engine.reason = FinishReason.DEADLINE  # says nothing about what there would have been
    for _ in range(2):
        service.complete(make_request("y = ˇ\n"))
    assert engine.num_calls == 4


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("x = f(aˇ)\n", [(").b()", 1)]),
        ("x = f(a)ˇ\n", [(".b()", 0)]),  # typed over
        ("x = f(a).ˇ\n", [("b()", 0)]),
        ("x = f(a)ˇ)\n", [(".b()", 1)]),  # typed beside it
        ("x = f(a)ˇ]\n", []),
        ("x = f(ˇ]\n", []),
    ],
)
def test_what_replaces_a_bracket_is_typed_along(marked: str, expected: list[tuple[str, int]]) -> None:
    engine = ScriptedEngine("a).b()")
    service, _ = make_service(engine)
    (item,) = service.complete(make_request("x = f(ˇ)\n")).items
    assert (item.text, item.start, item.end) == ("a).b()", Position(0, 6), Position(0, 7))
    request = make_request(marked)
    known = service.recall(request)
    items = () if known is None else known.items
    assert [(each.text, each.end.column - each.start.column) for each in items] == expected
    assert all(each.start == request.position for each in items)


def test_what_comes_after_a_replaced_bracket_is_looked_ahead_for() -> None:
    engine = ScriptedEngine("a).b()")
    service, _ = make_service(engine)
    request = make_request("x = f(ˇ)\ny = 1\n")
    completion = service.complete(request)
    engine.texts = [".c"]
    service.look_ahead(request, completion)
    known = service.recall(make_request("x = f(a).b()ˇ\ny = 1\n"))
    assert known is not None
    assert [item.text for item in known.items] == [".c"]


def test_at_the_deadline_the_partial_is_cut_to_whole_words() -> None:
    service, _ = make_service(ScriptedEngine("foo.bar(baz", reason=FinishReason.DEADLINE))
    completion = service.complete(make_request("x = ˇ\n"))
    assert [item.text for item in completion.items] == ["foo.bar()"]
    assert completion.finish_reason is FinishReason.DEADLINE


def test_cancelled_means_nothing() -> None:
    engine = ScriptedEngine("x", reason=FinishReason.CANCELLED)
    assert make_service(engine)[0].complete(make_request("x = ˇ\n")).items == ()
    token = CancellationToken()
    token.cancel()
    completion = make_service(engine)[0].complete(make_request("x = ˇ\n", cancellation=token))
    assert completion.finish_reason is FinishReason.CANCELLED
    assert engine.num_calls == 1


def test_alternatives_are_distinct_after_trimming() -> None:
    service, _ = make_service(ScriptedEngine("a", "a  ", "b"))
    completion = service.complete(make_request("x = ˇ\n", trigger=TriggerKind.INVOKED, max_items=3))
    assert [item.text for item in completion.items] == ["a", "b"]


def test_invoked_and_automatic_have_their_own_length() -> None:
    engine = ScriptedEngine("x")
    settings = Settings(generation=GenerationSettings(automatic_max_tokens=5, invoked_max_tokens=50))
    service, _ = make_service(engine, settings)
    service.complete(make_request("x = ˇ\n"))
    assert engine.sampling is not None
    assert engine.sampling.max_new_tokens == 5
    service.complete(make_request("y = ˇ\n", trigger=TriggerKind.INVOKED))
    assert engine.sampling.max_new_tokens == 50


@pytest.mark.parametrize(
    ("marked", "start", "end", "text", "prompt_line"),
    [
        ("console.ˇ\n", Position(0, 8), Position(0, 8), "log", "console.log\n"),
        ("console.loˇ\n", Position(0, 8), Position(0, 10), "log", "console.log\n"),
        ("ˇ\n", Position(0, 0), Position(0, 0), "é😋", "é😋\n"),
    ],
)
def test_a_selected_completion_is_extended(
    marked: str, start: Position, end: Position, text: str, prompt_line: str
) -> None:
    service, prompts = make_service(ScriptedEngine("(x)"))
    completion = service.complete(make_request(marked, selected=SelectedCompletion(start, end, text)))
    (item,) = completion.items
    assert item.text == text + "(x)"
    assert (item.start, item.end) == (start, end)
    document, position = prompts.places[-1]
    assert document.lines[0] == prompt_line
    assert position == Position(0, start.column + len(text))


def test_a_selected_completion_of_several_lines() -> None:
    service, prompts = make_service(ScriptedEngine("pass"))
    selected = SelectedCompletion(Position(1, 0), Position(2, 1), "if x:\n    ")
    service.complete(make_request("a\nˇb\nc\nd\n", selected=selected))
    document, position = prompts.places[-1]
    assert document.text == "a\nif x:\n    \nd\n"
    assert position == Position(2, 4)


def test_settings_reach_the_engine_and_the_caches() -> None:
    engine = ScriptedEngine("1")
    service, _ = make_service(engine)
    service.complete(make_request("x = ˇ\n"))
    service.apply_settings(Settings(cache=CacheSettings(completion_cache_entries=0)))
    service.complete(make_request("x = ˇ\n"))
    service.complete(make_request("x = ˇ\n"))
    assert engine.num_calls == 3
    assert engine.settings is not None
    assert engine.settings.cache.completion_cache_entries == 0


def test_clearing_caches_clears_both() -> None:
    engine = ScriptedEngine("1")
    service, _ = make_service(engine)
    service.complete(make_request("x = ˇ\n"))
    service.clear_caches()
    service.complete(make_request("x = ˇ\n"))
    assert engine.num_calls == 2
    assert engine.is_cleared


def test_after_a_partial_answer_idle_work_finds_the_rest() -> None:
    engine = ScriptedEngine("foo(bar", reason=FinishReason.DEADLINE)
    service, _ = make_service(engine, NO_LOOK_AHEAD)
    assert [item.text for item in service.complete(make_request("x = ˇ\n")).items] == ["foo()"]
    engine.texts, engine.reason = ["foo(bar, baz)"], FinishReason.STOP
    service.warm(make_request("x = ˇ\n"))
    assert [item.text for item in service.complete(make_request("x = foˇ\n")).items] == ["o(bar, baz)"]
    assert engine.num_calls == 2


@pytest.mark.parametrize("reason", [FinishReason.DEADLINE, FinishReason.CANCELLED])
def test_what_was_written_so_far_is_the_next_draft(reason: FinishReason) -> None:
    engine = ScriptedEngine("foo(bar, ba", reason=reason)
    service, prompts = make_service(engine)
    service.complete(make_request("x = ˇ\n"))
    engine.texts = ["oo"]  # cut off earlier this time, and of the same mind
    service.complete(make_request("x = fˇ\n"))
    service.complete(make_request("x = foˇ)\n"))  # the suffix may change: it is only a guess
    service.complete(make_request("x = foxˇ\n"))
    service.complete(make_request("y\nx = foˇ\n"))
    assert prompts.drafts == ["", "oo(bar, ba", "o(bar, ba", "", ""]


def test_what_is_known_is_recalled_without_the_model() -> None:
    engine = ScriptedEngine("foo(a)")
    service, _ = make_service(engine)
    assert service.recall(make_request("x = ˇ\n")) is None
    service.complete(make_request("x = ˇ\n"))
    for marked, expected in (("x = ˇ\n", "foo(a)"), ("x = foˇ\n", "o(a)")):
        known = service.recall(make_request(marked))
        assert known is not None
        assert [item.text for item in known.items] == [expected]
        assert known.trace["from_completion_cache"]
    skipped = service.recall(make_request("xˇx\n"))
    assert skipped is not None
    assert skipped.finish_reason is FinishReason.SKIPPED
    assert engine.num_calls == 1


def test_a_shown_suggestion_is_typed_along_without_asking_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    service, _ = make_service(ScriptedEngine("foo(a)"))
    service.complete(make_request("x = ˇ\n"))

    def refuse(*_: object) -> None:
        raise AssertionError("the rules parse: a known answer does not wait for them")

    monkeypatch.setattr("completion_server.service.decide_trigger", refuse)
    known = service.recall(make_request("x = foˇ\n"))
    assert known is not None
    assert [item.text for item in known.items] == ["o(a)"]
    assert known.trace["trigger_reason"] == "typed_along"


def test_by_hand_too_a_known_suggestion_is_recalled_without_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    service, _ = make_service(ScriptedEngine("foo(a)"))
    service.complete(make_request("x = ˇ\n"))
    monkeypatch.setattr("completion_server.service.decide_trigger", None)
    known = service.recall(make_request("x = foˇ\n", trigger=TriggerKind.INVOKED))
    assert known is not None
    assert [item.text for item in known.items] == ["o(a)"]
    assert known.trace["trigger_reason"] == "known"


def test_accepting_typing_to_the_end_and_enter_are_prepared_for() -> None:
    engine = ScriptedEngine("foo(a):")
    service, prompts = make_service(engine)
    request = make_request("def ˇ\n\ny = 1\n")
    shown = service.complete(request)
    engine.texts = ["next"]
    service.look_ahead(request, shown)
    assert list(dict.fromkeys((document.text, position) for document, position in prompts.places)) == [
        ("def \n\ny = 1\n", Position(0, 4)),
        ("def foo(a):\n\ny = 1\n", Position(0, 11)),
        ("def foo(a):\n    \n\ny = 1\n", Position(1, 4)),
    ]
    asked = engine.num_calls
    assert [item.text for item in service.complete(make_request("def foˇ\n\ny = 1\n")).items] == ["o(a):"]
    assert [item.text for item in service.complete(make_request("def foo(a):ˇ\n\ny = 1\n")).items] == ["next"]
    after_enter = make_request("def foo(a):\n    ˇ\n\ny = 1\n")
    assert [item.text for item in service.complete(after_enter).items] == ["next"]
    service.look_ahead(request, shown)
    assert engine.num_calls == asked


def test_a_place_that_would_take_too_long_to_read_gets_a_short_prompt_first() -> None:
    engine = ScriptedEngine("foo")
    service, prompts = make_service(engine)
    request = make_request("x = ˇ\n", deadline=Deadline.after_ms(300))
    engine.num_missing = 500  # at one token a millisecond
    shown = service.complete(request)
    assert shown.trace["has_short_prompt"]
    assert prompts.budgets == [(1024, 256), (128, 32)]
    service.look_ahead(dataclasses.replace(request, deadline=Deadline.never()), shown)
    assert engine.num_prefills == 1
    assert prompts.budgets[2] == (1024, 256)
    assert engine.num_calls == 1  # places further on are as far from being read
    engine.texts = ["  "]  # having nothing to say after a short prompt is no verdict on the place
    for asked in (2, 3):
        service.complete(make_request("w = ˇ\n", deadline=Deadline.after_ms(300)))
        assert engine.num_calls == asked
    engine.num_missing = 100
    in_time = make_request("y = ˇ\n", deadline=Deadline.after_ms(300))
    assert "has_short_prompt" not in service.complete(in_time).trace
    patient = make_request("z = ˇ\n", deadline=Deadline.never())
    engine.num_missing = 5000
    assert "has_short_prompt" not in service.complete(patient).trace


@pytest.mark.parametrize(
    ("remaining_ms", "num_missing", "budget"),
    [
        (400, 1000, (128, 32)),
        (170, 1000, (96, 24)),
        (120, 1000, (64, 16)),
        (100, 1000, (48, 12)),
        (60, 1000, (32, 8)),
        (5, 1000, (32, 8)),
        (60, 30, None),  # no short prompt is shorter than what is missing of the whole one
    ],
)
def test_a_short_prompt_is_as_long_as_the_time_allows(
    remaining_ms: float, num_missing: int, budget: tuple[int, int] | None
) -> None:
    engine = ScriptedEngine("foo")
    service, prompts = make_service(engine)
    engine.num_missing = num_missing
    service.complete(make_request("x = ˇ\n", deadline=Deadline.after_ms(remaining_ms, clock=float)))
    assert prompts.budgets == [(1024, 256)] + [budget] * (budget is not None)


def test_looking_ahead_of_an_answer_by_hand_asks_as_typing_does() -> None:
    engine = ScriptedEngine("foo", "bar", "baz")
    service, _ = make_service(engine)
    request = make_request("x = ˇ\n", trigger=TriggerKind.INVOKED, max_items=3)
    shown = service.complete(request)
    assert (len(shown.items), engine.sampling.max_new_tokens if engine.sampling else 0) == (3, 256)
    service.look_ahead(request, shown)
    assert engine.sampling is not None
    assert engine.sampling.max_new_tokens == 64


def test_looking_ahead_ends_when_somebody_asks_and_can_be_switched_off() -> None:
    engine = ScriptedEngine("foo")
    service, _ = make_service(engine)
    request = make_request("x = ˇ\n")
    shown = service.complete(request)
    request.cancellation.cancel()
    service.look_ahead(request, shown)
    quiet, _ = make_service(engine, NO_LOOK_AHEAD)
    quiet.look_ahead(make_request("x = ˇ\n"), shown)
    assert engine.num_calls == 1


def test_an_opened_document_is_read_where_that_helps() -> None:
    engine = ScriptedEngine()
    service, prompts = make_service(engine)
    service.prefill(make_request("x = 1\nˇ"))
    assert (engine.num_prefills, engine.num_calls) == (1, 0)
    service.prefill(make_request("x = 1\n" * 10_000 + "ˇ"))  # its window depends on the cursor
    prompts.starts_with_prefix = False  # the text after the cursor comes first
    service.prefill(make_request("x = 1\nˇ"))
    assert engine.num_prefills == 1


def test_a_place_is_read_wherever_it_is() -> None:
    engine = ScriptedEngine()
    service, prompts = make_service(engine)
    prompts.starts_with_prefix = False
    service.prefill_place(make_request("x = 1\n" * 10_000 + "ˇ"))
    assert (engine.num_prefills, engine.num_calls) == (1, 0)


def test_status_is_the_engines() -> None:
    status = make_service(ScriptedEngine())[0].status()
    assert status == {"model": "scripted", "is_on_battery": False, "is_saving_power": False}


@pytest.mark.parametrize(("text", "num_shown"), [("abc", 3), ("ab)  ", 2), ("  ", 0)])
def test_the_trace_counts_tokens_that_nobody_sees(text: str, num_shown: int) -> None:
    class Counting(ScriptedEngine):
        def generate(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            result = super().generate(*args, **kwargs)
            made = Generation(
                text,
                (1,) * len(text),
                (-0.1,) * len(text),
                self.reason,
                "line_end",
                tuple(range(1, len(text) + 1)),
            )
            return dataclasses.replace(
                result, generations=(made,), stats=GenerationStats(num_generated_tokens=len(text) + 1)
            )

    service, _ = make_service(Counting(text))
    trace = service.complete(make_request("x = f(ˇ)\n")).trace
    assert trace["num_wasted_tokens"] == len(text) + 1 - num_shown
    assert "num_wasted_tokens" not in service.complete(make_request("x = f(ˇ)\n")).trace


def test_nothing_of_a_closed_document_stays() -> None:
    service, _ = make_service(ScriptedEngine("1 + 2"))
    sizes = []
    for number in range(300):
        document, position = parse_marked(f"value_{number} = ˇ\n" + "padding\n" * 50, uri=f"file:///w/{number}.py")
        request = dataclasses.replace(make_request("ˇ"), document=document, position=position)
        assert service.complete(request).items
        assert service.recall(request) is not None
        service.forget(document.uri)
        assert service.recall(request) is None
        sizes.append(len(pickle.dumps(vars(service._completion_cache)["_entries"])))
    assert sizes[-1] == sizes[0]
    assert not any(
        vars(service._completion_cache)[name] for name in ("_entries", "_nothing", "_recent", "_drafts")
    )


@pytest.mark.parametrize(
    ("marked", "disabled", "is_asked"),
    [
        ("x = 1  # soˇ\n", ("comment",), False),
        ("x = 1  # soˇ\n", ("python:comment",), False),
        ("x = 1  # soˇ\n", ("go:comment", "string"), True),
        ("x = 1  # soˇ\n", (), True),
        ("x = 'soˇ\n", ("string",), False),
        ("x = 'so ˇ me' + more\n", ("string",), False),
        ("f('a ˇ b', c)\n", ("python:string",), False),
        ('def f():\n    """Text ˇ\n', ("string",), False),
        ("x = f'{ˇ\n", ("comment",), True),
        ("x = 1 + ˇ\n", ("comment", "string"), True),
        ("# a comment above\nx = ˇ\n", ("comment",), True),
        ("x = 'a' + ˇ\n", ("string",), True),
    ],
)
def test_contexts_that_the_settings_disable(marked: str, disabled: tuple[str, ...], is_asked: bool) -> None:
    engine = ScriptedEngine("1 + 2")
    service, _ = make_service(engine, Settings(disabled_contexts=disabled))
    completion = service.complete(make_request(marked))
    assert (engine.num_calls > 0) == is_asked
    if not is_asked:
        assert "disabled in the settings" in str(completion.trace["reason"])
        service.complete(make_request(marked, trigger=TriggerKind.INVOKED))
        assert engine.num_calls == 1, "on request they come all the same"


def test_on_battery_nothing_is_prepared_if_the_settings_say_so() -> None:
    for on_battery, plugged, num_prefills in (("quiet", False, 0), ("quiet", True, 1), ("same", False, 1)):
        engine = ScriptedEngine("foo")
        settings = Settings(generation=GenerationSettings(on_battery=on_battery))
        service, _ = make_service(engine, settings)
        service.power = PowerSource(lambda plugged=plugged: SimpleNamespace(power_plugged=plugged))
        service.prefill_place(make_request("x = ˇ\n"))
        assert engine.num_prefills == num_prefills
        assert service.status()["is_on_battery"] is not plugged
        assert service.status()["is_saving_power"] is (num_prefills == 0)


def test_a_machine_that_cannot_tell_is_plugged_in() -> None:
    def fail() -> None:
        raise AttributeError("sensors_battery")

    for read in (lambda: None, fail, lambda: SimpleNamespace(power_plugged=None)):
        power = PowerSource(read)
        power.refresh()
        assert not power.is_battery
