"""A picture of the gate: how much is right among what is shown, by how much is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from completion_server.errors import RequestError
from completion_server.evaluation.gate_fit import CurvePoint


def write_curve(path: Path, curve: Sequence[CurvePoint], title: str) -> None:
    """Draw ``curve`` into ``path`` (.png or .svg). Raises RequestError without matplotlib or a known ending."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RequestError("a plot needs matplotlib: pip install 'completion-server[bench]'") from error
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([point.coverage for point in curve], [point.precision for point in curve])
    axes.set(xlabel="share of suggestions shown", ylabel="share of them that is right", title=title)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be written: {error}") from error
