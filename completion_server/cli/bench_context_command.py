"""``completion-server bench context``: what choosing snippets of other files costs a request."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from completion_server.cli.output import make_console, make_facts_table, print_json
from completion_server.evaluation.context_bench import measure_context
from completion_server.evaluation.machine import describe_machine


def run(num_files: int, num_requests: int, *, as_json: bool = False) -> None:
    """Measure and print; the last line of stdout is one JSON object."""
    with tempfile.TemporaryDirectory() as directory:
        times = measure_context(Path(directory).resolve() / "workspace", num_files, num_requests)
    figures: dict[str, object] = {
        "num_files": times.num_files,
        "num_requests": num_requests,
        "index_seconds": round(times.index_seconds, 2),
        "longest_piece_ms": round(times.longest_piece_ms, 2),
        "kept_ms": _spread(times.kept_ms),
        "chosen_ms": _spread(times.chosen_ms),
        "snippets_per_request": round(times.num_snippets / num_requests, 2),
    }
    if not as_json:
        make_console().print(make_facts_table({name.replace("_", " "): value for name, value in figures.items()}))
    print_json({"bench": "context", "machine": describe_machine(), **figures}, indent=None)


def _spread(sorted_ms: Sequence[float]) -> dict[str, float]:
    last = len(sorted_ms) - 1
    ranks = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(sorted_ms[round(last * rank)], 3) for name, rank in ranks.items()}
