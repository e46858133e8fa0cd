"""How the first automatic request at a new place ends: with text, with a decided silence, or out of time.

usage: python scripts/measure_cold_places.py [--files 30] [--tokens-per-second 350]

Asks once in each of several files of the Python standard library, after a name in the middle, with empty caches.
``--tokens-per-second`` slows the prefill down to that speed, so that a fast machine can stand for a slow one.
The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sysconfig
import time
from collections import Counter
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from completion_server.bootstrap import build_service
from completion_server.config import load_settings
from completion_server.document import Document, Position
from completion_server.request import CancellationToken, CompletionRequest, Deadline, TriggerKind

_PLACE = re.compile(r"^\s+\w+ = \w{3}|^\s+(?:return|if|for) \w{2}")
_MIN_LINES = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=30)
    parser.add_argument("--tokens-per-second", type=float, default=0.0)
    options = parser.parse_args()
    settings = load_settings(None, None).settings
    settings = replace(
        settings,
        model=replace(settings.model, shared=False),
        generation=replace(settings.generation, suggestions="eager"),
    )
    service: Any = build_service(settings, lambda *_: None)
    if options.tokens_per_second:
        _slow_down(service._engine._model, options.tokens_per_second)
    outcomes: Counter[str] = Counter()
    times = []
    for number, (document, position) in enumerate(_places(options.files + 3)):
        service.clear_caches()
        deadline = Deadline.after_ms(settings.latency.automatic_timeout_ms)
        request = CompletionRequest(document, position, TriggerKind.AUTOMATIC, deadline, CancellationToken())
        began = time.perf_counter()
        completion = service.complete(request)
        if number >= 3:  # the first ones teach the engine how fast this machine is
            times.append((time.perf_counter() - began) * 1000)
            outcomes["text" if completion.items else completion.finish_reason.value] += 1
    figures = {"p50_ms": round(statistics.median(times), 1), "max_ms": round(max(times), 1), **outcomes}
    print(json.dumps({"bench": "cold places", "model": settings.model.name, **vars(options), **figures}))


def _slow_down(model: Any, tokens_per_second: float) -> None:
    forward = model.forward

    def slow_forward(token_ids: Any, *arguments: Any, **options: Any) -> Any:
        until = time.perf_counter() + len(token_ids) / tokens_per_second if len(token_ids) >= 16 else 0.0
        result = forward(token_ids, *arguments, **options)
        time.sleep(max(until - time.perf_counter(), 0.0))
        return result

    model.forward = slow_forward


def _places(num_files: int) -> list[tuple[Document, Position]]:
    places = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        found = [(line, match) for line, text in enumerate(lines) if (match := _PLACE.match(text))]
        if len(lines) < _MIN_LINES or not found:
            continue
        line, match = found[len(found) // 2]
        lines[line] = match[0] + "\n"
        document = Document.from_text("".join(lines), uri=path.as_uri(), language_id="python")
        places.append((document, Position(line, match.end())))
    return places[:num_files]


if __name__ == "__main__":
    main()
