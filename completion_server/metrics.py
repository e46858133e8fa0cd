"""What happened to one request: milliseconds per stage, counts and reasons. Never source text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class RequestTrace:
    """Filled in along the straight line of a request; ``as_dict`` is what users see."""

    def __init__(self, request_id: str, arrived_at: float) -> None:
        self._arrived_at = arrived_at
        self._stage_ms: dict[str, float] = {"queue": (time.monotonic() - arrived_at) * 1000}
        self._facts: dict[str, object] = {"request_id": request_id}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; stages of one name add up."""
        began = time.monotonic()
        try:
            yield
        finally:
            elapsed_ms = (time.monotonic() - began) * 1000
            self._stage_ms[name] = self._stage_ms.get(name, 0.0) + elapsed_ms

    def split_stage(self, name: str, part: str, part_ms: float) -> None:
        """Count ``part_ms`` of the stage ``name`` as a stage of its own, ``part``."""
        self._stage_ms[part] = self._stage_ms.get(part, 0.0) + part_ms
        self._stage_ms[name] -= part_ms

    def note(self, **facts: object) -> None:
        """Record counts and reasons; values are JSON-able and never text of a document."""
        self._facts.update(facts)

    def as_dict(self) -> dict[str, object]:
        stages = {name: round(elapsed_ms, 2) for name, elapsed_ms in self._stage_ms.items()}
        total = round((time.monotonic() - self._arrived_at) * 1000, 2)
        return {**self._facts, "stage_ms": stages, "total_ms": total}
