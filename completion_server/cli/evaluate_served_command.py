"""``completion-server evaluate --served``: what an editor would have shown, and how much of it is right.

The service is that of the settings, whatever computes: this process, llama.cpp (``model.engine``) or a model
server (``remote.url``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from completion_server.bootstrap import build_service
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import make_console, make_table, print_json, shown_progress
from completion_server.errors import RequestError
from completion_server.evaluation.fim_infill import make_tasks, with_nothing_hidden
from completion_server.evaluation.gate_fit import CurvePoint, GateFit, fit_gate, precision_curve
from completion_server.evaluation.held_out import read_split
from completion_server.evaluation.latency import quantile
from completion_server.evaluation.machine import describe_machine
from completion_server.evaluation.paired import PairedCounts, compare_with, describe_engine
from completion_server.evaluation.served import HoleRecord, run_holes
from completion_server.gate.gate import Gate, Suggestions
from completion_server.service import CompletionService

_LEVELS: tuple[Suggestions, ...] = ("eager", "balanced", "quiet")


@dataclass(frozen=True)
class ServedTask:
    """Which holes, and which files are written."""

    corpus: Path
    split: str = "held-out"
    num_per_kind: int = 60
    seed: int = 0
    deadline_ms: float | None = None
    records: Path = Path("served.jsonl")
    """One JSON line per hole; a run that ended early goes on from there."""
    fit_to: Path | None = None
    """Gets the coefficients of a gate fitted to these records."""
    plot: Path | None = None
    """Gets the precision/coverage curve; the ending decides between PNG and SVG."""
    against: tuple[Path, ...] = ()
    """Records of other runs over the same holes, to compare with hole by hole."""


def run(options: CommonOptions, task: ServedTask, *, out: Path | None = None, as_json: bool = False) -> None:
    """Run all holes, print what each level of ``generation.suggestions`` shows. Raises CompletionServerError."""
    settings = with_nothing_hidden(options.resolve().settings)
    tasks = make_tasks(read_split(task.corpus, task.split), task.num_per_kind, task.seed)
    facts: dict[str, Any] = {"model": settings.model.name, "split": task.split, "seed": task.seed}
    facts |= {"num_per_kind": task.num_per_kind, "deadline_ms": task.deadline_ms, "corpus": task.corpus.name}
    records: list[HoleRecord] = []
    with (
        shown_progress(make_console(stderr=True)) as progress,
        closing(build_service(settings, progress)) as service,
    ):
        facts |= engine_facts(service)
        for record in run_holes(service, tasks, task.records, facts, task.deadline_ms):
            records.append(record)
            progress("filling holes", len(records) / len(tasks))
        gate = service.gate
    fit = _fit(records, facts, task) if task.fit_to is not None else None
    pairs = [(path, *compare_with(path, facts, records)) for path in task.against]
    levels = level_rows(records, gate)
    result = {"evaluation": "served", **facts, "is_calibrated": gate.is_calibrated, "levels": levels}
    result |= {"by_kind": group_rows(records), "fit": None if fit is None else _fit_facts(fit)}
    result["latency_ms"] = latency_figures(records)
    result["against"] = [{"records": path.name, "there": name, **asdict(counts)} for path, name, counts in pairs]
    result["machine"] = describe_machine()
    if task.plot is not None:
        from completion_server.evaluation.gate_plot import write_curve

        write_curve(
            task.plot, _curve(records) if fit is None else fit.curve, f"{settings.model.name}, {task.split}"
        )
    if out is not None:
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if not as_json:
        _show(make_console(), levels, group_rows(records), fit)
        _show_pairs(make_console(), describe_engine(facts), pairs)
    print_json(result, indent=None)


def engine_facts(service: CompletionService) -> dict[str, Any]:
    """What computes, as far as it decides what is written."""
    status = service.status()
    names = ("model", "backend", "dtype", "server", "dialect", "fim_format")
    return {name: status[name] for name in names if status.get(name)}


def level_rows(records: Sequence[HoleRecord], gate: Gate) -> list[dict[str, Any]]:
    """What each level of the gate in force shows; an unknown score is always shown."""
    offered = [record for record in records if record.has_text]
    rows = []
    for level in _LEVELS:
        threshold = gate.threshold(level)
        shown = [record for record in offered if record.score is None or record.score >= threshold]
        rows.append({"suggestions": level, "threshold": threshold, **_figures(shown, len(offered))})
    return rows


def group_rows(records: Sequence[HoleRecord]) -> list[dict[str, Any]]:
    """Figures of everything that was offered, by kind and by language."""
    groups: dict[str, list[HoleRecord]] = {"all": list(records)}
    for record in records:
        groups.setdefault(record.kind, []).append(record)
        groups.setdefault(f"all, {record.language}", []).append(record)
    return [
        {"holes": name, "num_holes": len(group), **_figures([r for r in group if r.has_text], len(group))}
        for name, group in groups.items()
    ]


def _figures(shown: Sequence[HoleRecord], num_all: int) -> dict[str, Any]:
    parsed = [record for record in shown if record.adds_parse_error is not None]
    num_chars = sum(record.num_shown_chars for record in shown)
    return {
        "num_shown": len(shown),
        "coverage": _share(len(shown), num_all),
        "precision": _share(sum(record.is_right for record in shown), len(shown)),
        "exact": _share(sum(record.is_exact for record in shown), len(shown)),
        "adds_parse_error": _share(sum(bool(record.adds_parse_error) for record in parsed), len(parsed)),
        "leaves_parse_error": _share(sum(bool(record.leaves_parse_error) for record in parsed), len(parsed)),
        "repeats_following_line": _share(sum(record.repeats_following_line for record in shown), len(shown)),
        "tokens_per_shown_char": _share(sum(record.num_generated_tokens for record in shown), num_chars),
    }


def latency_figures(records: Sequence[HoleRecord]) -> dict[str, float]:
    """Milliseconds per request from empty caches, of those with a suggestion; {} without any."""
    times = [record.total_ms for record in records if record.has_text]
    return {f"p{percent}": round(quantile(times, percent / 100), 1) for percent in (50, 95) if times}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _fit(records: Sequence[HoleRecord], facts: dict[str, Any], task: ServedTask) -> GateFit:
    date = datetime.now(timezone.utc).date().isoformat()
    fit = fit_gate(records, {**facts, "date": date}, task.seed)
    assert task.fit_to is not None
    encoded = msgspec.json.format(msgspec.json.encode(fit.calibration), indent=1)
    try:
        task.fit_to.parent.mkdir(parents=True, exist_ok=True)
        task.fit_to.write_bytes(encoded + b"\n")
    except OSError as error:
        raise RequestError(f"{task.fit_to} cannot be written: {error}") from error
    return fit


def _fit_facts(fit: GateFit) -> dict[str, Any]:
    step = max(len(fit.curve) // 50, 1)
    return {**fit.calibration.metadata, "curve": [asdict(point) for point in fit.curve[::step]]}


def _curve(records: Sequence[HoleRecord]) -> tuple[CurvePoint, ...]:
    import numpy as np

    scored = [record for record in records if record.score is not None]
    scores = np.array([record.score for record in scored], dtype=np.float64)
    return precision_curve(scores, np.array([record.is_right for record in scored], dtype=bool)) if scored else ()


def _show_pairs(console: Console, here: str, pairs: Sequence[tuple[Path, str, PairedCounts]]) -> None:
    if not pairs:
        return
    table = make_table(console, f"{here} against", "both right", "only here", "only there", "same text", "p")
    for path, name, counts in pairs:
        numbers = (counts.num_both_right, counts.num_only_here, counts.num_only_there, counts.num_same_text)
        table.add_row(f"{name} ({path.name})", *map(str, numbers), f"{counts.p_value:.2f}")
    console.print(table)


def _show(
    console: Console, levels: list[dict[str, Any]], groups: list[dict[str, Any]], fit: GateFit | None
) -> None:
    for name, rows in (("suggestions", levels), ("holes", groups)):
        table = make_table(console, name, "shown", "coverage", "right", "exact", "parse error", "repeats line")
        for row in rows:
            names = ("coverage", "precision", "exact", "adds_parse_error", "repeats_following_line")
            shares = ["-" if row[key] is None else f"{row[key]:.1%}" for key in names]
            table.add_row(row[name], str(row["num_shown"]), *shares)
        console.print(table)
    if fit is not None:
        facts = fit.calibration.metadata
        console.print(f"fitted to {facts['num_suggestions']} suggestions, {facts['precision_of_all']:.1%} right")
        for level, point in facts["out_of_fold"].items():
            console.print(
                f"{level}: {point['precision']:.1%} right at coverage {point['coverage']:.0%} (out of fold)"
            )
