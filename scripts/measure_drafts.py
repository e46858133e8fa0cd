"""What guessing ahead saves: ms per written token with look-up drafts and without, at the same places, in turns.

usage: python scripts/measure_drafts.py [--places 50]

A file of the Python standard library is typed in; at each place the model in the settings is asked for what would
appear by itself, the prompt having been read before. The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from completion_server.bootstrap import build_service
from completion_server.config import load_settings
from completion_server.engine.lookup import LookupGauge
from completion_server.evaluation.items_bench import typed_places, without_memory
from completion_server.request import CancellationToken, CompletionRequest, Deadline, TriggerKind
from completion_server.service import CompletionService


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", type=int, default=50)
    num_places = parser.parse_args().places
    settings = without_memory(load_settings(None, None).settings)
    settings = replace(settings, model=replace(settings.model, shared=False))
    service = build_service(settings, lambda *_: None)
    sums = {"with_drafts": [0.0, 0.0, 0.0], "without": [0.0, 0.0, 0.0]}
    for number, (document, position) in enumerate(typed_places(num_places)):
        request = CompletionRequest(
            document, position, TriggerKind.AUTOMATIC, Deadline.never(), CancellationToken()
        )
        service.complete(request)  # reads the prompt
        for way in sorted(sums, reverse=bool(number % 2)):
            for index, value in enumerate(measure(service, request, has_drafts=way == "with_drafts")):
                sums[way][index] += value
    figures = {
        way: {"num_tokens": int(tokens), "passes_per_token": passes / tokens, "ms_per_token": ms / tokens}
        for way, (tokens, passes, ms) in sums.items()
    }
    print(json.dumps({"bench": "drafts", "model": settings.model.name, **figures}))


def measure(
    service: CompletionService, request: CompletionRequest, *, has_drafts: bool
) -> tuple[float, float, float]:
    """Tokens after the first, which comes with the prompt; the passes for them; ms."""
    if has_drafts:
        trace: dict[str, Any] = dict(service.complete(request).trace)
    else:
        with patch.object(LookupGauge, "allows", return_value=False):
            trace = dict(service.complete(request).trace)
    num_tokens = int(trace.get("num_generated_tokens", 0))
    if num_tokens < 2:
        return 0.0, 0.0, 0.0
    return num_tokens - 1.0, float(trace["num_decode_passes"]), float(trace["stage_ms"]["decode"])


if __name__ == "__main__":
    main()
