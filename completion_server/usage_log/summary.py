"""What the log says: how much is accepted, how much of it stays, how fast it came. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

_TAKEN = frozenset({"accepted", "partial"})


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One summary of all rows and one per language, the most used first."""
    by_language: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_language.setdefault(row["language"] or "(none)", []).append(row)
    languages = sorted(by_language, key=lambda name: (-len(by_language[name]), name))
    return [_summary("all", rows), *(_summary(name, by_language[name]) for name in languages)]


def _summary(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    taken = [row for row in rows if row["outcome"] in _TAKEN]
    checked = [row for row in taken if row["num_kept_chars"] is not None]
    num_checked_chars = sum(row["num_accepted_chars"] for row in checked)
    latencies = [row["latency_ms"] for row in rows]
    return {
        "language": name,
        "num_shown": len(rows),
        "num_accepted": sum(row["outcome"] == "accepted" for row in rows),
        "num_partial": sum(row["outcome"] == "partial" for row in rows),
        "acceptance_rate": len(taken) / len(rows) if rows else None,
        "num_accepted_chars": sum(row["num_accepted_chars"] for row in taken),
        "kept_after_30s": (
            sum(row["num_kept_chars"] for row in checked) / num_checked_chars if num_checked_chars else None
        ),
        "latency_p50_ms": percentile(latencies, 0.50),
        "latency_p95_ms": percentile(latencies, 0.95),
    }


def decoding_waste(traces: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What the model wrote and nobody saw, of the requests in ``traces`` that asked it."""
    asked = [trace for trace in traces if isinstance(trace.get("num_wasted_tokens"), int)]
    num_wasted = sum(trace["num_wasted_tokens"] for trace in asked)
    num_chars = sum(trace.get("num_shown_chars", 0) for trace in asked)
    return {
        "num_requests": len(asked),
        "num_generated_tokens": sum(trace.get("num_generated_tokens", 0) for trace in asked),
        "num_wasted_tokens": num_wasted,
        "num_shown_chars": num_chars,
        "wasted_tokens_per_shown_char": num_wasted / num_chars if num_chars else None,
    }


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that at least ``share`` of ``values`` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None


def acceptance(rows: Sequence[dict[str, Any]], model: str) -> tuple[int, int, float]:
    """Of what appeared by itself with a score from ``model``, and is settled: how many, how many of them were
    taken (whole or in part), and their mean score."""
    scored = [
        row
        for row in rows
        if row["model"] == model
        and row["kind"] == "automatic"
        and row["score"] is not None
        and row["outcome"] != "open"
    ]
    num_taken = sum(row["outcome"] in _TAKEN for row in scored)
    mean = sum(row["score"] for row in scored) / len(scored) if scored else 0.0
    return len(scored), num_taken, mean
