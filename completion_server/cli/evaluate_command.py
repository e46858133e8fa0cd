"""``completion-server evaluate``: how well models fill holes in held-out files, through the server's pipeline."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from rich.console import Console

from completion_server.bootstrap import build_service, cache_dir_of
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import ShowProgress, make_console, make_table, print_json, shown_progress
from completion_server.config import ModelSettings, Settings
from completion_server.context.collect import ContextCollector
from completion_server.evaluation.cross_file_holes import fill_cross_file_holes, make_cross_file_tasks
from completion_server.evaluation.fim_execution import LineTask, line_tasks, pass_lines, read_problems
from completion_server.evaluation.fim_infill import Task, fill_holes, make_tasks, with_nothing_hidden
from completion_server.evaluation.fim_score import FilledHole, num_only_exact, score, wilson_interval
from completion_server.evaluation.held_out import SourceFile, read_split
from completion_server.evaluation.machine import describe_machine
from completion_server.evaluation.paired import mcnemar_p
from completion_server.evaluation.workspaces import fill_in_workspaces, write_workspaces
from completion_server.service import CompletionService

_ALL = "all"


@dataclass(frozen=True)
class EvaluationTask:
    """Which holes: ``num_per_kind`` of each kind in the files of ``split``, drawn by ``seed``."""

    corpus: Path
    split: str = "held-out"
    num_per_kind: int = 60
    seed: int = 0
    runs_tests: bool = True
    """Also fill each line of small functions and run their tests."""
    measures_likelihood: bool = False
    """Also measure how surprised the model is by the middles and by plain text (native families only)."""
    num_cross_file: int = 0
    """Also fill so many holes that need a name of another file, and as many elsewhere in the same workspaces,
    without and with snippets of other files."""
    is_alone: bool = False
    """Each file by itself, and not in the workspace that its repository is."""


def run(
    options: Sequence[CommonOptions], task: EvaluationTask, *, out: Path | None = None, as_json: bool = False
) -> None:
    """Score each of ``options`` (one per model) on the same holes; print a table and one JSON line.

    ``out`` gets the scores as a JSON list. Raises CompletionServerError.
    """
    files = read_split(task.corpus, task.split)
    tasks = make_tasks(files, task.num_per_kind, task.seed)
    lines = line_tasks(read_problems()) if task.runs_tests else []
    rows: list[dict[str, Any]] = []
    passed: list[dict[str, Any]] = []
    likelihoods: list[dict[str, Any]] = []
    with shown_progress(make_console(stderr=True)) as progress, tempfile.TemporaryDirectory() as directory:
        used = {each.repository for each in tasks}
        roots = {} if task.is_alone else write_workspaces(files, Path(directory), used)
        for each in options:
            settings = with_nothing_hidden(each.resolve().settings)
            collector = ContextCollector(runs_in_background=False)
            service = build_service(settings, progress, context=collector)
            if task.is_alone:
                filling = fill_holes(service, tasks)
            else:
                filling = fill_in_workspaces(service, collector, tasks, roots)
            rows += _scores(service, settings.model.name, filling, len(tasks), progress)
            if task.num_cross_file:
                rows += _cross_file_scores(settings, service, collector, task, files, progress)
            if lines:
                passed.append(_passed_lines(settings.model.name, service, lines, progress))
            if task.measures_likelihood:
                progress(f"{settings.model.name}: measuring likelihood", None)
                likelihoods.append(_likelihood(settings.model, tasks, files))
    if not as_json:
        _show(make_console(), rows, num_tasks=len(tasks))
        _show_more(make_console(), passed, likelihoods)
    if out is not None:
        out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    facts: dict[str, object] = {"evaluation": "infill", "split": task.split, "seed": task.seed}
    facts["has_workspace"] = not task.is_alone
    facts |= {"scores": rows, "passed_tests": passed, "nll": likelihoods}
    print_json({**facts, "machine": describe_machine()}, indent=None)


def _scores(
    service: CompletionService, name: str, filling: Iterator[FilledHole], num_holes: int, progress: ShowProgress
) -> list[dict[str, Any]]:
    filled: list[FilledHole] = []
    for hole in filling:
        filled.append(hole)
        progress(f"{name}: filling holes", len(filled) / num_holes)
    by_kind: dict[str, list[FilledHole]] = {}
    by_language: dict[str, list[FilledHole]] = {}
    for hole in filled:
        by_kind.setdefault(hole.kind, []).append(hole)
        by_language.setdefault(hole.language, []).append(hole)
    groups = {
        **by_kind,
        _ALL: filled,
        **{f"{_ALL}, {language}": by_language[language] for language in sorted(by_language)},
    }
    facts = {"model": name, "fim_format": service.status().get("fim_format")}
    return [{**facts, "kind": kind, **asdict(score(holes))} for kind, holes in groups.items()]


def _cross_file_scores(
    settings: Settings,
    service: CompletionService,
    collector: ContextCollector,
    task: EvaluationTask,
    files: Sequence[SourceFile],
    progress: ShowProgress,
) -> list[dict[str, Any]]:
    """The same holes without other files and with them, as the settings say; a row for each kind of both."""
    rows = []
    wish = settings.context.cross_file
    cross_file = {"off": "off", "on": "on" if wish == "off" else wish}
    with tempfile.TemporaryDirectory() as directory:
        root, count = Path(directory).resolve(), task.num_cross_file
        holes = make_cross_file_tasks(files, root, count, task.seed, max_elsewhere=count)
        filled: dict[str, list[FilledHole]] = {}
        for mode in cross_file if holes else ():
            context = replace(settings.context, cross_file=cross_file[mode])
            service.apply_settings(replace(settings, context=context))
            filled[mode] = []
            for hole in fill_cross_file_holes(service, collector, holes):
                filled[mode].append(hole)
                progress(f"{settings.model.name}: context {mode}", len(filled[mode]) / len(holes))
    service.apply_settings(settings)
    facts = {"model": settings.model.name, "fim_format": service.status().get("fim_format")}
    for kind in dict.fromkeys(hole.kind for hole in filled.get("off", [])):
        off, on = ([hole for hole in filled[mode] if hole.kind == kind] for mode in ("off", "on"))
        gained, lost = num_only_exact(on, off), num_only_exact(off, on)
        rows.append({**facts, "kind": f"{kind}, context off", **asdict(score(off))})
        more = {"num_gained": gained, "num_lost": lost, "p_value": mcnemar_p(gained, lost)}
        rows.append({**facts, "kind": f"{kind}, context on", **asdict(score(on)), **more})
    return rows


def _likelihood(model: ModelSettings, tasks: Sequence[Task], files: Sequence[SourceFile]) -> dict[str, Any]:
    from completion_server.catalog.resolve import ensure_local
    from completion_server.training.likelihood import measure_likelihood

    directory = ensure_local(model.name, cache_dir_of(model), model.offline)
    return {"model": model.name, **asdict(measure_likelihood(directory, tasks, files))}


def _passed_lines(
    name: str, service: CompletionService, lines: Sequence[LineTask], progress: ShowProgress
) -> dict[str, Any]:
    num_passed = 0
    for number, is_passed in enumerate(pass_lines(service, lines), 1):
        num_passed += is_passed
        progress(f"{name}: running tests", number / len(lines))
    low, high = wilson_interval(num_passed, len(lines))
    return {"model": name, "num_lines": len(lines), "num_passed": num_passed, "low": low, "high": high}


def _show(console: Console, rows: list[dict[str, Any]], *, num_tasks: int) -> None:
    console.print(f"{num_tasks} holes in files of repositories that no training saw", soft_wrap=True)
    table = make_table(
        console, "model", "holes", "number", "exact", "95 %", "similarity", "answered", "ended right"
    )
    for row in rows:
        stopped = row["stopped_right"]
        table.add_row(
            Path(row["model"]).name,
            row["kind"],
            str(row["num_holes"]),
            f"{row['exact_match']:.1%}",
            f"{row['exact_low']:.0%}-{row['exact_high']:.0%}",
            f"{row['edit_similarity']:.3f}",
            f"{row['answered']:.0%}",
            "-" if stopped is None else f"{stopped:.0%}",
        )
    console.print(table)
    for row in rows:
        if "p_value" in row:
            console.print(
                f"{Path(row['model']).name}, {row['kind']}: exact in {row['num_gained']} more holes and in"
                f" {row['num_lost']} no more (exact McNemar p = {row['p_value']:.2g})",
                soft_wrap=True,
            )


def _show_more(console: Console, passed: list[dict[str, Any]], likelihoods: list[dict[str, Any]]) -> None:
    for each in passed:
        console.print(
            f"{Path(each['model']).name}: {each['num_passed']} of {each['num_lines']} lines of small functions "
            f"pass their tests ({each['low']:.0%}-{each['high']:.0%})",
            soft_wrap=True,
        )
    for each in likelihoods:
        console.print(
            f"{Path(each['model']).name}: {each['middle_nll']:.3f} nats per token of the middles, "
            f"{each['plain_nll']:.3f} of plain text",
            soft_wrap=True,
        )
