"""What several suggestions asked for by hand cost against one, at the same places, in turns.

Drafts and remembered answers are off, and the prompt has been read before: what is left is the writing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from completion_server.config import Settings
from completion_server.document import Document, Position
from completion_server.evaluation.typed_source import make_typed_text
from completion_server.request import CancellationToken, CompletionRequest, Deadline, TriggerKind
from completion_server.service import CompletionService

_NUM_LINES, _NUM_KEYS = 400, 400


@dataclass
class ItemsFigures:
    """Per place: ms for one item and for several, and how many there were."""

    one_ms: list[float] = field(default_factory=list)
    several_ms: list[float] = field(default_factory=list)
    num_items: list[int] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [several / one for one, several in zip(self.one_ms, self.several_ms, strict=True)]

    def as_dict(self) -> dict[str, object]:
        return {
            "num_places": len(self.one_ms),
            "one_ms": round(statistics.median(self.one_ms), 1),
            "several_ms": round(statistics.median(self.several_ms), 1),
            "ratio": round(statistics.median(self.ratios), 3),
            "ratio_quartiles": [round(value, 3) for value in statistics.quantiles(self.ratios, n=4)[::2]],
            "mean_items": round(statistics.mean(self.num_items), 2),
        }


def without_memory(settings: Settings) -> Settings:
    """``settings`` for a service that asks its model every time."""
    cache = replace(settings.cache, completion_cache_entries=0)
    return replace(settings, cache=cache, generation=replace(settings.generation, look_ahead=False))


def typed_places(num_places: int) -> Iterator[tuple[Document, Position]]:
    """Places that typing a file comes by, spread over the keys."""
    plan = make_typed_text(_NUM_LINES, _NUM_KEYS)
    document, position = Document.from_text(plan.text, uri=plan.uri, language_id="python"), plan.start
    step = max(len(plan.keys) // num_places, 1)
    for number in range(num_places):
        for key in plan.keys[number * step : (number + 1) * step]:
            document, position = document.with_replacement(position, position, key)
        yield document, position


def measure_items(
    service: CompletionService, num_places: int, num_items: int, progress: Callable[[int], object]
) -> ItemsFigures:
    """Ask by hand at ``num_places`` places of a typed file, for one item and for ``num_items``, in turns."""
    figures = ItemsFigures()
    for number, (document, position) in enumerate(typed_places(num_places)):
        counts = (1, num_items) if number % 2 else (num_items, 1)
        service.complete(_request(document, position, 1))  # reads the prompt
        times: dict[int, float] = {}
        num_found = 0
        for count in counts:
            began = time.perf_counter()
            completion = service.complete(_request(document, position, count))
            times[count] = (time.perf_counter() - began) * 1000
            num_found = max(num_found, len(completion.items))
        if num_found > 1:  # nothing to compare where the model has one thing to say
            figures.one_ms.append(times[1])
            figures.several_ms.append(times[num_items])
            figures.num_items.append(num_found)
        progress(number + 1)
    return figures


def _request(document: Document, position: Position, max_items: int) -> CompletionRequest:
    return CompletionRequest(
        document, position, TriggerKind.INVOKED, Deadline.never(), CancellationToken(), max_items=max_items
    )
