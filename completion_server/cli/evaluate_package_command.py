"""``completion-server evaluate-package``: lines of a real package, filled in and judged by its own tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from completion_server.bootstrap import build_service
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import make_console, make_table, print_json, shown_progress
from completion_server.errors import RequestError
from completion_server.evaluation.fim_infill import with_nothing_hidden
from completion_server.evaluation.fim_score import wilson_interval
from completion_server.evaluation.machine import describe_machine
from completion_server.evaluation.package_holes import JudgedHole, PackageTask, judge_package


def run(options: Sequence[CommonOptions], task: PackageTask, *, as_json: bool = False) -> None:
    """Judge each of ``options`` (one per model) on the same lines; print a table and one JSON line.

    Raises CompletionServerError.
    """
    rows: list[dict[str, object]] = []
    with shown_progress(make_console(stderr=True)) as progress:
        for each in options:
            settings = with_nothing_hidden(each.resolve().settings)
            service = build_service(settings, progress)
            holes: list[JudgedHole] = []
            for hole in judge_package(service, task):
                holes.append(hole)
                progress(f"{settings.model.name}: running tests", len(holes) / task.num_holes)
            if not holes:
                raise RequestError("the tests notice none of the package's lines: nothing to judge")
            rows.append(_row(settings.model.name, holes))
    if not as_json:
        table = make_table(make_console(), "model", "lines", "pass the tests", "95 %", "as they were", "answered")
        for row in rows:
            table.add_row(
                Path(str(row["model"])).name,
                str(row["num_holes"]),
                f"{row['passed']:.0%}",
                f"{row['passed_low']:.0%}-{row['passed_high']:.0%}",
                f"{row['exact']:.0%}",
                f"{row['answered']:.0%}",
            )
        make_console().print(table)
    print_json(
        {"evaluation": "package", "package": task.directory.name, "seed": task.seed, "scores": rows,
         "machine": describe_machine()},
        indent=None,
    )  # fmt: skip


def _row(model: str, holes: list[JudgedHole]) -> dict[str, object]:
    num_passed = sum(hole.is_passed for hole in holes)
    low, high = wilson_interval(num_passed, len(holes))
    return {
        "model": model,
        "num_holes": len(holes),
        "passed": num_passed / len(holes),
        "passed_low": low,
        "passed_high": high,
        "exact": sum(hole.completion.strip() == hole.middle.strip() for hole in holes) / len(holes),
        "answered": sum(bool(hole.completion) for hole in holes) / len(holes),
        "holes": [asdict(hole) for hole in holes],
    }
