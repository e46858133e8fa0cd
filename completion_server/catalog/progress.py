"""How long-running catalog work reports to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""``progress(stage, done, total)``: ``stage`` is a short phrase for the user ("downloading", "converting", ...);
``done`` and ``total`` are bytes, ``total`` None where it is not known. May be called from any thread; raising
from it cancels the work."""


def no_progress(stage: str, done: int, total: int | None) -> None:
    """The default: tell nobody."""
