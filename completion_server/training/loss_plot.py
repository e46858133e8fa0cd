"""A picture of a run: loss of the middle by step, smoothed, and the validation's; SVG, made of the log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

PLOT_NAME = "loss.svg"
_WIDTH, _HEIGHT, _MARGIN = 720, 360, 48
_SMOOTHING = 0.95
Point = tuple[float, float]


def write_plot(log: Path, target: Path) -> bool:
    """Draw what ``log`` (JSON lines) holds into ``target``; False when there is too little to draw.

    A line that is damaged (the machine went off while it was written) is passed over. Raises OSError.
    """
    steps: dict[int, float] = {}
    checks: dict[int, float] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("middle_nll") is not None:
            (steps if event["event"] == "step" else checks)[event["step"]] = event["middle_nll"]
    if len(steps) < 2:
        return False
    target.write_text(_draw(_smoothed(sorted(steps.items())), sorted(checks.items())), encoding="utf-8")
    return True


def _smoothed(points: Sequence[tuple[int, float]]) -> list[Point]:
    """Exponential moving average without the bias of its start."""
    result, total, weight = [], 0.0, 0.0
    for step, value in points:
        total = _SMOOTHING * total + (1 - _SMOOTHING) * value
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        result.append((float(step), total / weight))
    return result


def _draw(steps: Sequence[Point], checks: Sequence[Point]) -> str:
    every = [*steps, *checks]
    last = max(step for step, _ in every) or 1
    low, high = min(value for _, value in every), max(value for _, value in every)
    span = high - low or 1.0

    def place(point: Point) -> str:
        x = _MARGIN + point[0] / last * (_WIDTH - 2 * _MARGIN)
        y = _HEIGHT - _MARGIN - (point[1] - low) / span * (_HEIGHT - 2 * _MARGIN)
        return f"{x:.1f},{y:.1f}"

    dots = "".join(
        '<circle cx="{}" cy="{}" r="4" fill="#c2410c"/>'.format(*place(each).split(",")) for each in checks
    )
    bottom, right = _HEIGHT - _MARGIN, _WIDTH - _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'<path d="M{_MARGIN},{_MARGIN} V{bottom} H{right}" fill="none" stroke="#888"/>'
        f'<polyline points="{" ".join(map(place, steps))}" fill="none" stroke="#1d4ed8" stroke-width="2"/>{dots}'
        f'<text x="4" y="{_MARGIN}">{high:.2f}</text><text x="4" y="{bottom}">{low:.2f}</text>'
        f'<text x="{right}" y="{bottom + 18}" text-anchor="end">step {last:.0f}</text>'
        f'<text x="{_MARGIN}" y="24">nats per token of the middle: training (line), validation (dots)</text>'
        "</svg>\n"
    )
