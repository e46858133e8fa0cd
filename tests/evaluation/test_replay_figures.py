from __future__ import annotations

import json

import pytest

from completion_server.evaluation.replay.driver import KeyEvent, SessionRun
from completion_server.evaluation.replay.figures import Figures, Quantiles, summarize, summarize_by_kind
from completion_server.evaluation.replay.peer import Totals, Usage
from completion_server.evaluation.replay.plot import draw_ghost_text, ghost_text_curve
from completion_server.evaluation.replay.session import StepKind


def event(
    reply_ms: float | None, text: str = "", useful: int = 0, waited_ms: float = 150.0, **usage: object
) -> KeyEvent:
    known = Usage(is_known=True, **usage)  # type: ignore[arg-type]
    return KeyEvent(StepKind.KEY, reply_ms, waited_ms, text, useful, known)


def make_run(*events: KeyEvent, kind: str = "function", totals: Totals | None = None) -> SessionRun:
    return SessionRun(kind, "ours", list(events), 500.0, 2, 6.0, 3.0, 1 << 20, totals, [4.0, 8.0])


EVENTS = (
    event(200.0, "abcd", 2, num_prompt_tokens=100, num_cached_tokens=98, num_prefilled_tokens=2,
          num_generated_tokens=4, num_passes=4, finish_reason="stop"),
    event(1.0, "bcd", 1, is_remembered=True),
    event(320.0, "", 0, num_prompt_tokens=100, num_cached_tokens=60, num_prefilled_tokens=40,
          num_generated_tokens=2, num_passes=2, finish_reason="deadline"),
    event(None, waited_ms=90.0),
)  # fmt: skip


def test_the_figures_of_a_session() -> None:
    figures = summarize([make_run(*EVENTS)], 300)
    assert (figures.num_keys, figures.num_answered, figures.num_overtaken) == (4, 3, 1)
    assert (figures.num_with_text, figures.num_remembered, figures.share_with_text) == (2, 1, 0.5)
    assert (figures.ghost_text_ms.p50, figures.ghost_text_ms.p95) == (1, 200)
    assert (figures.ghost_text_or_next_key_ms.p50, figures.ghost_text_or_next_key_ms.count) == (90, 3)
    assert (figures.ghost_text_of_all_keys_ms.p50, figures.ghost_text_of_all_keys_ms.p95) == (200, None)
    assert (figures.asked_ghost_text_ms.p50, figures.type_through_ms.p99) == (200, 1)
    assert (figures.prefill_tokens.p50, figures.prefill_tokens.mean) == (0, 10.5)
    assert figures.cached_token_ratio == pytest.approx(158 / 200)
    assert (figures.num_shown_chars, figures.num_useful_chars, figures.useful_chars_per_key) == (7, 3, 0.75)
    assert (figures.passes_per_shown_char, figures.wasted_tokens_per_shown_char) == (0.8571, 0.2857)
    assert not figures.counts_all_work
    assert figures.cpu_s_per_typing_minute == 30
    assert (figures.overshoot_ms.p50, figures.overshoot_ms.p99) == (0, 20)
    assert figures.cancel_to_idle_ms.p99 == 8
    assert figures.finish_reasons == {"stop": 1, "remembered": 1, "deadline": 1, "overtaken": 1}


def test_the_servers_own_counters_cover_all_work() -> None:
    figures = summarize([make_run(*EVENTS, totals=Totals(21, 60, 18))])
    assert (figures.passes_per_shown_char, figures.wasted_tokens_per_shown_char) == (3, 2)
    assert figures.counts_all_work
    assert figures.overshoot_ms == Quantiles()


def test_no_answer_is_not_a_fast_one() -> None:
    figures = summarize([make_run(event(None), event(5.0))])
    assert figures.ghost_text_ms == Quantiles()
    assert figures.ghost_text_of_all_keys_ms.p50 is None
    assert (figures.passes_per_shown_char, figures.cached_token_ratio) == (None, None)
    assert summarize([]) == Figures()


def test_kinds_are_told_apart_and_the_report_is_json() -> None:
    by_kind = summarize_by_kind([make_run(*EVENTS), make_run(event(5.0, "x"), kind="line")])
    assert {kind: figures.num_keys for kind, figures in by_kind.items()} == {"function": 4, "line": 1, "all": 5}
    value = json.loads(json.dumps(by_kind["all"].as_dict()))
    assert (value["ghost_text_ms"]["count"], value["share_with_text"]) == (3, 0.6)


def test_the_curve_ends_at_the_share_of_keys_with_text() -> None:
    assert ghost_text_curve([make_run(*EVENTS)]) == ([1.0, 200.0], [0.25, 0.5])


def test_a_plot_is_written(tmp_path: object) -> None:
    pytest.importorskip("matplotlib")
    from pathlib import Path

    path = Path(str(tmp_path)) / "curve.svg"
    draw_ghost_text(path, {"ours": [make_run(*EVENTS)], "peer": [make_run(*EVENTS)]}, "two sides")
    assert "<svg" in path.read_text(encoding="utf-8")
