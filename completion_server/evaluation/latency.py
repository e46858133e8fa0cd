"""Latency of typing: what a session of key presses says about reply times, prompt work and reuse.

Pure statistics over ``KeyRecord``; driving a server is ``typing_session``'s work.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from completion_server.evaluation.typing_session import KeyRecord


@dataclass(frozen=True)
class Spread:
    """Quantiles of a set of numbers; all zero for an empty one."""

    p50: float = 0.0
    p95: float = 0.0
    max: float = 0.0
    mean: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if not values:
            return cls()
        numbers = (quantile(values, 0.5), quantile(values, 0.95), max(values), statistics.fmean(values))
        return cls(*(round(number, 2) for number in numbers))


@dataclass(frozen=True)
class LatencyReport:
    """The figures of one session."""

    num_keys: int = 0
    num_answered: int = 0
    """Keys whose reply came before the next key."""
    num_with_text: int = 0
    num_without_model: int = 0
    """Answered without asking the model: skipped, or a remembered suggestion being typed along."""
    reply_ms: Spread = Spread()
    with_text_ms: Spread = Spread()
    """Reply times of those that brought text."""
    asked_ms: Spread = Spread()
    """Reply times of those for which the model was asked: typing along a suggestion costs nothing."""
    prefill_tokens: Spread = Spread()
    """Prompt tokens fed per key whose reply came; 0 where the model was not asked."""
    asked_prefill_tokens: Spread = Spread()
    """The same without the keys for which the model was not asked."""
    decode_passes: Spread = Spread()
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    overshoot_ms: Spread = Spread()
    """How much later than the deadline replies came; 0 for those in time."""
    longest_stage_ms: dict[str, float] = field(default_factory=dict)
    finish_reasons: dict[str, int] = field(default_factory=dict)

    @property
    def share_with_text(self) -> float:
        return self.num_with_text / self.num_answered if self.num_answered else 0.0

    @property
    def cached_token_ratio(self) -> float:
        """Prompt tokens that were still known from an earlier request, of all prompt tokens."""
        return self.num_cached_tokens / self.num_prompt_tokens if self.num_prompt_tokens else 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with the ratios."""
        return {
            **asdict(self),
            "share_with_text": round(self.share_with_text, 4),
            "cached_token_ratio": round(self.cached_token_ratio, 4),
        }


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of ``values`` do not exceed (nearest rank, no interpolation)."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summarize(records: Iterable[KeyRecord], timeout_ms: float) -> LatencyReport:
    """Figures over ``records``; ``timeout_ms`` is the time limit they ran under."""
    all_records = list(records)
    answered = [record for record in all_records if record.reply_ms is not None]
    reply_ms = [record.reply_ms for record in answered if record.reply_ms is not None]
    with_text = [record.reply_ms for record in answered if record.text and record.reply_ms is not None]
    known = [record.trace for record in answered if record.trace]
    asked = [record.trace for record in answered if _is_asked(record)]
    return LatencyReport(
        num_keys=len(all_records),
        num_answered=len(answered),
        num_with_text=len(with_text),
        num_without_model=len(known) - len(asked),
        reply_ms=Spread.of(reply_ms),
        with_text_ms=Spread.of(with_text),
        asked_ms=Spread.of([record.reply_ms for record in answered if _is_asked(record) and record.reply_ms]),
        prefill_tokens=Spread.of([_count(trace, "num_prefilled_tokens") for trace in known]),
        asked_prefill_tokens=Spread.of([_count(trace, "num_prefilled_tokens") for trace in asked]),
        decode_passes=Spread.of([_count(trace, "num_decode_passes") for trace in asked]),
        num_prompt_tokens=sum(_count(trace, "num_prompt_tokens") for trace in asked),
        num_cached_tokens=sum(_count(trace, "num_cached_tokens") for trace in asked),
        overshoot_ms=Spread.of([max(0.0, elapsed - timeout_ms) for elapsed in reply_ms]),
        longest_stage_ms=_longest_stages(known),
        finish_reasons=_finish_reasons(all_records),
    )


def _is_asked(record: KeyRecord) -> bool:
    return "num_prompt_tokens" in record.trace


def _count(trace: Any, name: str) -> int:
    value = trace.get(name, 0)
    return value if isinstance(value, int) else 0


def _longest_stages(traces: Sequence[Any]) -> dict[str, float]:
    longest: dict[str, float] = {}
    for trace in traces:
        for name, elapsed_ms in dict(trace.get("stage_ms") or {}).items():
            longest[name] = max(longest.get(name, 0.0), float(elapsed_ms))
    return longest


def _finish_reasons(records: Sequence[KeyRecord]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for record in records:
        if record.reply_ms is None:
            counts["overtaken"] += 1
        else:
            counts[finish_reason(record)] += 1
    return dict(counts.most_common())


def finish_reason(record: KeyRecord) -> str:
    """Why the suggestion of ``record`` ended, in one word; "reused" for one that needed no model."""
    if record.trace.get("from_completion_cache"):
        return "reused"
    reason = record.trace.get("finish_reason") or "unknown"
    return str(reason)
