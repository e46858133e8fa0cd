"""``completion-server bench forward``: prefill and decode against llama.cpp and against the memory's speed."""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path
from typing import Any

from completion_server.backends.loading import load_model
from completion_server.bootstrap import cache_dir_of
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import make_console, make_table, print_json, shown_progress
from completion_server.evaluation.forward_bench import ForwardFigures, compare_forward, read_bandwidth
from completion_server.evaluation.machine import describe_machine
from completion_server.evaluation.replay.peer_start import LocalModel, check_peers


def run(options: CommonOptions, *, num_repeats: int, seed: int, as_json: bool = False) -> None:
    """Measure and print; the last line of stdout is one JSON object. Raises CompletionServerError."""
    check_peers(["llama-completion"])
    settings = options.resolve(Path.cwd()).settings
    with shown_progress(make_console(stderr=True)) as progress:
        local = LocalModel.prepare(settings, borrow_sentinels=False)
        loaded = load_model(local.directory, settings.model, cache_dir_of(settings.model), progress)
        progress("measuring", None)
        sides = asyncio.run(compare_forward(loaded, local, num_repeats, seed))
    bandwidth = read_bandwidth(loaded.num_threads)
    floor_ms = loaded.num_weight_bytes / bandwidth * 1000
    figures = _figures(sides, floor_ms)
    if not as_json:
        _show(sides, figures)
    print_json(
        {
            "bench": "forward",
            "model": settings.model.name,
            "dtype": loaded.dtype,
            "num_threads": loaded.num_threads,
            "read_gb_per_s": round(bandwidth / 1e9, 1),
            "weight_bytes": loaded.num_weight_bytes,
            **figures,
            "sides": {name: side.as_dict() for name, side in sides.items()},
            "machine": describe_machine(),
        },
        indent=None,
    )


def _figures(sides: dict[str, ForwardFigures], floor_ms: float) -> dict[str, Any]:
    ours, peer = sides["ours"], sides["llama.cpp"]
    return {
        "prefill_ratio": _ratio(ours.prefill_tokens_per_s, peer.prefill_tokens_per_s),
        "decode_ms_ratio": _ratio(ours.decode_ms, peer.decode_ms),
        "floor_ms": round(floor_ms, 2),
        "decode_over_floor": round(statistics.median(ours.decode_ms) / floor_ms, 2),
    }


def _ratio(ours: list[float], peers: list[float]) -> dict[str, float]:
    """Of the medians, and the lowest and highest of one repeat."""
    single = [our / peer for our, peer in zip(ours, peers, strict=True)]
    median = statistics.median(ours) / statistics.median(peers)
    return {"median": round(median, 3), "lowest": round(min(single), 3), "highest": round(max(single), 3)}


def _show(sides: dict[str, ForwardFigures], figures: dict[str, Any]) -> None:
    console = make_console()
    table = make_table(console, "", "prompt tokens/s", "ms per token")
    for name, side in sides.items():
        table.add_row(
            name,
            f"{statistics.median(side.prefill_tokens_per_s):.0f}",
            f"{statistics.median(side.decode_ms):.1f}",
        )
    console.print(table)
    console.print(
        f"ours / llama.cpp: prompt tokens/s {figures['prefill_ratio']['median']},"
        f" ms per token {figures['decode_ms_ratio']['median']}"
    )
    console.print(
        f"reading the weights once takes {figures['floor_ms']} ms: a token takes"
        f" {figures['decode_over_floor']} times that"
    )
