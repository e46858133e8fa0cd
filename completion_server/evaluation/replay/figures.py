"""What replayed sessions say about a server: times, work and use. Pure statistics over ``SessionRun``."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from completion_server.evaluation.latency import quantile
from completion_server.evaluation.replay.driver import KeyEvent, SessionRun


@dataclass(frozen=True)
class Quantiles:
    """Of a set of numbers; None for an empty one, never zero: no answer is not a fast one."""

    count: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    mean: float | None = None

    @classmethod
    def of(cls, values: Iterable[float]) -> Quantiles:
        numbers = list(values)
        if not numbers:
            return cls()
        p50, p95, p99 = (round(quantile(numbers, share), 3) for share in (0.5, 0.95, 0.99))
        return cls(len(numbers), p50, p95, p99, round(statistics.fmean(numbers), 3))

    @classmethod
    def with_missing(cls, values: Sequence[float], num_missing: int) -> Quantiles:
        """Quantiles when ``num_missing`` more values are infinite; those and the mean that are so are None."""
        numbers = [*values, *[math.inf] * num_missing]
        if not numbers:
            return cls()
        p50, p95, p99 = (_finite(quantile(numbers, share)) for share in (0.5, 0.95, 0.99))
        return cls(len(numbers), p50, p95, p99, None if num_missing else round(statistics.fmean(values), 3))


@dataclass(frozen=True)
class Figures:
    """The figures of one server over some sessions. A key is a change of the text that was asked about."""

    num_keys: int = 0
    num_answered: int = 0
    """Keys whose reply came before the next key."""
    num_overtaken: int = 0
    num_with_text: int = 0
    num_remembered: int = 0
    """Answered without the model."""
    ghost_text_ms: Quantiles = Quantiles()
    """From the key to the reply, for replies with text."""
    ghost_text_of_all_keys_ms: Quantiles = Quantiles()
    """Over all keys, those without text in time as never: None where the quantile is one of them."""
    ghost_text_or_next_key_ms: Quantiles = Quantiles()
    """The same, and for overtaken keys the time to the next key: a lower bound, since nothing came by then."""
    asked_ghost_text_ms: Quantiles = Quantiles()
    """Replies with text for which the model was asked."""
    first_text_ms: Quantiles = Quantiles()
    """To the first part of an answer, where it is streamed."""
    reply_ms: Quantiles = Quantiles()
    cold_ms: Quantiles = Quantiles()
    type_through_ms: Quantiles = Quantiles()
    prefill_tokens: Quantiles = Quantiles()
    """Prompt tokens fed per key whose cost is known; 0 where the model was not asked."""
    cached_token_ratio: float | None = None
    num_shown_chars: int = 0
    num_useful_chars: int = 0
    """Shown and equal to what was typed next, over all keys."""
    useful_chars_per_key: float = 0.0
    num_accepted_chars: int = 0
    passes_per_shown_char: float | None = None
    wasted_tokens_per_shown_char: float | None = None
    """Generated, but not part of a reply with text."""
    counts_all_work: bool = False
    """Whether the two figures above include requests that were given up and idle work."""
    cpu_s_per_typing_minute: float | None = None
    max_rss_bytes: int = 0
    overshoot_ms: Quantiles = Quantiles()
    """How much later than its deadline a reply came; 0 for those in time. Only where there is a deadline."""
    cancel_to_idle_ms: Quantiles = Quantiles()
    finish_reasons: dict[str, int] = field(default_factory=dict)

    @property
    def share_with_text(self) -> float:
        """Keys with a suggestion before the next key, of all keys."""
        return self.num_with_text / self.num_keys if self.num_keys else 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with the share."""
        return {**asdict(self), "share_with_text": round(self.share_with_text, 4)}


def summarize(runs: Sequence[SessionRun], timeout_ms: float | None = None) -> Figures:
    """Figures over ``runs`` of one server; ``timeout_ms`` is its time limit, if it has one."""
    events = [event for run in runs for event in run.events]
    answered = [event for event in events if event.reply_ms is not None]
    with_text = [event for event in answered if event.text]
    overtaken = [event for event in events if event.reply_ms is None]
    shown = sum(len(event.text) for event in with_text)
    useful = sum(event.num_useful_chars for event in with_text)
    typing_s = sum(run.typing_s for run in runs)
    passes, wasted, is_complete = _work(runs, with_text)
    return Figures(
        num_keys=len(events),
        num_answered=len(answered),
        num_overtaken=len(overtaken),
        num_with_text=len(with_text),
        num_remembered=sum(event.usage.is_remembered for event in answered),
        ghost_text_ms=_times(with_text),
        ghost_text_of_all_keys_ms=Quantiles.with_missing(
            [_reply_ms(event) for event in with_text], len(events) - len(with_text)
        ),
        ghost_text_or_next_key_ms=Quantiles.of([*map(_reply_ms, with_text), *(e.waited_ms for e in overtaken)]),
        asked_ghost_text_ms=_times(with_text, lambda event: not event.usage.is_remembered),
        first_text_ms=Quantiles.of(e.usage.first_text_ms for e in events if e.usage.first_text_ms is not None),
        reply_ms=_times(answered),
        cold_ms=Quantiles.of(run.cold_ms for run in runs if run.cold_ms is not None),
        type_through_ms=_times(with_text, lambda event: event.usage.is_remembered),
        prefill_tokens=Quantiles.of(e.usage.num_prefilled_tokens for e in events if e.usage.is_known),
        cached_token_ratio=_ratio(
            sum(event.usage.num_cached_tokens for event in events),
            sum(event.usage.num_prompt_tokens for event in events),
        ),
        num_shown_chars=shown,
        num_useful_chars=useful,
        useful_chars_per_key=round(useful / len(events), 4) if events else 0.0,
        num_accepted_chars=sum(run.num_accepted_chars for run in runs),
        passes_per_shown_char=_ratio(passes, shown),
        wasted_tokens_per_shown_char=_ratio(wasted, shown),
        counts_all_work=is_complete,
        cpu_s_per_typing_minute=_ratio(sum(run.cpu_s for run in runs) * 60, typing_s),
        max_rss_bytes=max((run.rss_bytes for run in runs), default=0),
        overshoot_ms=_overshoot(answered, timeout_ms),
        cancel_to_idle_ms=Quantiles.of(ms for run in runs for ms in run.cancel_to_idle_ms),
        finish_reasons=_finish_reasons(events),
    )


def summarize_by_kind(runs: Sequence[SessionRun], timeout_ms: float | None = None) -> dict[str, Figures]:
    """Figures per kind of session, and under "all" over all of them."""
    kinds = dict.fromkeys(run.kind for run in runs)
    figures = {kind: summarize([run for run in runs if run.kind == kind], timeout_ms) for kind in kinds}
    return {**figures, "all": summarize(runs, timeout_ms)}


def _work(runs: Sequence[SessionRun], with_text: Sequence[KeyEvent]) -> tuple[int, int, bool]:
    """Forward passes, tokens generated in vain, and whether these are all there were."""
    used = sum(event.usage.num_generated_tokens for event in with_text)
    totals = [run.totals for run in runs if run.totals is not None]
    if totals and len(totals) == len(runs):
        passes = sum(each.num_passes for each in totals)
        return passes, max(sum(each.num_generated_tokens for each in totals) - used, 0), True
    events = [event for run in runs for event in run.events]
    passes = sum(event.usage.num_passes for event in events)
    return passes, sum(event.usage.num_generated_tokens for event in events) - used, False


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else round(value, 3)


def _reply_ms(event: KeyEvent) -> float:
    assert event.reply_ms is not None
    return event.reply_ms


def _times(events: Sequence[KeyEvent], wanted: Callable[[KeyEvent], bool] = lambda _event: True) -> Quantiles:
    return Quantiles.of(_reply_ms(event) for event in events if wanted(event))


def _overshoot(answered: Sequence[KeyEvent], timeout_ms: float | None) -> Quantiles:
    if timeout_ms is None:
        return Quantiles()
    return Quantiles.of(max(0.0, _reply_ms(event) - timeout_ms) for event in answered)


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _finish_reasons(events: Sequence[KeyEvent]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for event in events:
        if event.reply_ms is None:
            counts["overtaken"] += 1
        elif event.usage.is_remembered:
            counts["remembered"] += 1
        else:
            counts[event.usage.finish_reason or "unknown"] += 1
    return dict(counts.most_common())
