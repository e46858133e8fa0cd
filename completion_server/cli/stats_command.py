"""``completion-server stats``: how much of what was suggested was accepted, and how much of that stayed."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from completion_server.cli.output import make_console, make_table, print_json
from completion_server.errors import RequestError
from completion_server.usage_log.place import DATABASE_NAME, TRACES_NAME, state_dir
from completion_server.usage_log.store import delete_log, now, read_rows
from completion_server.usage_log.summary import decoding_waste, summarise
from completion_server.usage_log.traces import delete_traces, read_traces

_DAY_SECONDS = 86_400
_MAX_TRACES = 10_000


def clear() -> None:
    """Delete the log and the traces. Raises RequestError."""
    try:
        existed = delete_log(state_dir() / DATABASE_NAME)
        delete_traces(state_dir() / TRACES_NAME)
    except OSError as error:
        raise RequestError(f"the log in {state_dir()} cannot be deleted: {error}") from error
    make_console().print("deleted" if existed else "there was no log", soft_wrap=True)


def run(num_days: int, *, plot: Path | None = None, as_json: bool = False) -> None:
    """Show the last ``num_days`` days. Raises RequestError when the log cannot be read."""
    path = state_dir() / DATABASE_NAME
    rows = read_rows(path, now() - num_days * _DAY_SECONDS)
    if plot is not None:
        _plot(plot, rows)
    summaries = summarise(rows)
    waste = decoding_waste(read_traces(state_dir() / TRACES_NAME, _MAX_TRACES))
    if as_json:
        print_json({"log": str(path), "days": num_days, "languages": summaries, "decoding": waste})
        return
    console = make_console()
    if not rows:
        console.print(f"nothing was suggested in the last {num_days} days (log: {path})", soft_wrap=True)
        return
    headings = ("shown", "accepted", "in part", "rate", "characters", "kept after 30 s", "p50 ms", "p95 ms")
    table = make_table(console, "language", *headings)
    for row in summaries:
        table.add_row(
            row["language"],
            *(str(row[key]) for key in ("num_shown", "num_accepted", "num_partial")),
            _percent(row["acceptance_rate"]),
            str(row["num_accepted_chars"]),
            _percent(row["kept_after_30s"]),
            *(f"{row[key]:.0f}" for key in ("latency_p50_ms", "latency_p95_ms")),
        )
    console.print(table)
    if waste["wasted_tokens_per_shown_char"] is not None:
        console.print(
            f"of the last {waste['num_requests']} requests to the model: {waste['num_wasted_tokens']} of"
            f" {waste['num_generated_tokens']} tokens were not shown,"
            f" {waste['wasted_tokens_per_shown_char']:.2f} for each character shown",
            soft_wrap=True,
        )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _plot(path: Path, rows: list[dict[str, Any]]) -> None:
    """Acceptance by day as bars of what was shown and what was taken."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RequestError("a plot needs matplotlib: pip install 'completion-server[bench]'") from error
    shown: dict[str, int] = {}
    taken: dict[str, int] = {}
    for row in rows:
        day = datetime.fromtimestamp(row["shown_at"], timezone.utc).date().isoformat()
        shown[day] = shown.get(day, 0) + 1
        taken[day] = taken.get(day, 0) + (row["outcome"] in ("accepted", "partial"))
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(list(shown), list(shown.values()), color="#cbd5e1", label="shown")
    axes.bar(list(taken), list(taken.values()), color="#1d4ed8", label="accepted")
    axes.set_ylabel("suggestions a day (UTC)")
    axes.tick_params(axis="x", rotation=60)
    axes.legend()
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be written: {error}") from error
