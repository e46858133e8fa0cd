"""Draws the cumulative distribution of the time to ghost text, one curve per server. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from completion_server.errors import CompletionServerError
from completion_server.evaluation.replay.driver import SessionRun


def check_plotting() -> None:
    """Raises CompletionServerError where nothing can be drawn; to be called before measuring for minutes."""
    if find_spec("matplotlib") is None:
        raise CompletionServerError("a plot needs matplotlib: pip install 'completion-server[bench]'")


def draw_ghost_text(path: Path, runs: Mapping[str, Sequence[SessionRun]], title: str) -> None:
    """Write ``path`` (its suffix names the format). A curve ends below 100 % where keys stayed without text."""
    check_plotting()
    figure = import_module("matplotlib.figure").Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, of_peer in runs.items():
        times, shares = ghost_text_curve(of_peer)
        axes.step(times, [share * 100 for share in shares], where="post", label=name)
    axes.set_xscale("log")
    axes.set_ylim(0, 100)
    axes.set_xlabel("time from the key to ghost text, ms")
    axes.set_ylabel("keys, %")
    axes.set_title(title)
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(loc="best")
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise CompletionServerError(f"the plot could not be written to {path}: {error}") from error


def ghost_text_curve(runs: Sequence[SessionRun]) -> tuple[list[float], list[float]]:
    """Times in ascending order, and the share of all keys that had text by then."""
    events = [event for run in runs for event in run.events]
    times = sorted(event.reply_ms for event in events if event.reply_ms is not None and event.text)
    return times, [(number + 1) / len(events) for number in range(len(times))]
