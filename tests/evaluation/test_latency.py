from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.document import Position
from completion_server.evaluation.latency import LatencyReport, Spread, quantile, summarize
from completion_server.evaluation.typing_session import KeyRecord

PLACE = Position(0, 1)


def asked(reply_ms: float | None, text: str = "x", **trace: object) -> KeyRecord:
    """A key for which the model was asked."""
    facts = {"num_prompt_tokens": 100, "num_cached_tokens": 98, "num_prefilled_tokens": 2, "num_decode_passes": 5}
    return KeyRecord("k", PLACE, reply_ms, text, {**facts, "finish_reason": "stop", **trace})


def test_quantiles_are_values_that_occurred() -> None:
    values = [10.0, 20.0, 30.0, 40.0]
    assert [quantile(values, share) for share in (0.0, 0.25, 0.5, 0.51, 0.95, 1.0)] == [10, 10, 20, 30, 40, 40]
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_quantile_leaves_its_share_below(values: list[float], share: float) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


def test_no_keys_give_an_empty_report() -> None:
    report = summarize([], 300)
    assert report == LatencyReport()
    assert (report.share_with_text, report.cached_token_ratio) == (0, 0)
    assert Spread.of([]) == Spread()


def test_the_figures_of_a_session() -> None:
    records = [
        asked(100.0),
        asked(350.0, finish_reason="deadline", num_prefilled_tokens=12, num_cached_tokens=88),
        asked(20.0, text=""),
        KeyRecord("k", PLACE, 1.0, "x", {"from_completion_cache": True, "finish_reason": "stop"}),
        KeyRecord("k", PLACE, 1.0, "", {"finish_reason": "skipped"}),
        KeyRecord("k", PLACE, None),
    ]
    report = summarize(records, 300)
    assert (report.num_keys, report.num_answered, report.num_with_text, report.num_without_model) == (6, 5, 3, 2)
    assert report.share_with_text == pytest.approx(0.6)
    assert (report.num_prompt_tokens, report.num_cached_tokens) == (300, 284)
    assert report.cached_token_ratio == pytest.approx(284 / 300)
    assert (report.reply_ms.p50, report.reply_ms.max) == (20, 350)
    assert report.with_text_ms.p50 == 100
    assert report.prefill_tokens == Spread(2, 12, 12, 3.2)
    assert (report.asked_ms.p50, report.asked_prefill_tokens.mean) == (100, 5.33)
    assert (report.overshoot_ms.p50, report.overshoot_ms.max) == (0, 50)
    assert report.finish_reasons == {"stop": 2, "deadline": 1, "reused": 1, "skipped": 1, "overtaken": 1}


def test_the_longest_stages_are_kept() -> None:
    records = [asked(1.0, stage_ms={"queue": 1.0, "decode": 90.0}), asked(1.0, stage_ms={"queue": 2.5})]
    assert summarize(records, 300).longest_stage_ms == {"queue": 2.5, "decode": 90.0}


def test_a_reply_without_explanation_counts_as_a_reply_only() -> None:
    report = summarize([KeyRecord("k", PLACE, 5.0, "x")], 300)
    assert (report.num_answered, report.num_with_text, report.num_without_model) == (1, 1, 0)
    assert report.finish_reasons == {"unknown": 1}


def test_a_report_is_json() -> None:
    value = json.loads(json.dumps(summarize([asked(100.0)], 300).as_dict()))
    assert value["reply_ms"]["p95"] == 100
    assert (value["share_with_text"], value["cached_token_ratio"]) == (1, 0.98)
