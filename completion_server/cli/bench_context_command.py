"""``completion-server bench context``: what choosing snippets of other files costs, and what it finds."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from completion_server.bootstrap import cache_dir_of
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import make_console, make_facts_table, make_table, print_json
from completion_server.context.collect import ContextCollector
from completion_server.cross_file import snippet_budget
from completion_server.evaluation.context_bench import measure_context
from completion_server.evaluation.context_recall import RecalledHole, count_recall, layout_of, recalled_holes
from completion_server.evaluation.cross_file_holes import make_cross_file_tasks
from completion_server.evaluation.held_out import read_split
from completion_server.evaluation.machine import describe_machine


@dataclass(frozen=True)
class RecallTask:
    """Which lines: up to ``num_holes`` in the files of ``split``, drawn by ``seed``."""

    corpus: Path
    split: str = "held-out"
    num_holes: int = 200
    seed: int = 0


def run(num_files: int, num_requests: int, *, as_json: bool = False) -> None:
    """Measure and print; the last line of stdout is one JSON object."""
    with tempfile.TemporaryDirectory() as directory:
        times = measure_context(Path(directory).resolve() / "workspace", num_files, num_requests)
    figures: dict[str, object] = {
        "num_files": times.num_files,
        "num_requests": num_requests,
        "index_seconds": round(times.index_seconds, 2),
        "longest_piece_ms": round(times.longest_piece_ms, 2),
        "kept_ms": _spread(times.kept_ms),
        "chosen_ms": _spread(times.chosen_ms),
        "snippets_per_request": round(times.num_snippets / num_requests, 2),
    }
    if not as_json:
        make_console().print(make_facts_table({name.replace("_", " "): value for name, value in figures.items()}))
    print_json({"bench": "context", "machine": describe_machine(), **figures}, indent=None)


def run_recall(options: CommonOptions, task: RecallTask, *, as_json: bool = False) -> None:
    """Count how often snippets show the needed names: a table, one JSON line. Raises CompletionServerError."""
    from completion_server.catalog.resolve import ensure_local
    from completion_server.tokenizer import Tokenizer

    settings = options.resolve().settings
    directory = ensure_local(settings.model.name, cache_dir_of(settings.model), settings.model.offline)
    budget = snippet_budget(settings)
    with tempfile.TemporaryDirectory() as scratch:
        files = read_split(task.corpus, task.split)
        tasks = make_cross_file_tasks(files, Path(scratch).resolve(), task.num_holes, task.seed)
        collector = ContextCollector(runs_in_background=False)
        lay_out = layout_of(Tokenizer.from_directory(directory))
        holes = list(recalled_holes(tasks, collector, lay_out, budget))
    rows = recall_rows(holes)
    if not as_json:
        _show_recall(make_console(), rows)
    facts = {"split": task.split, "seed": task.seed, "num_tokens": budget}
    print_json({"bench": "context recall", "model": settings.model.name, **facts, "rows": rows}, indent=None)


def recall_rows(holes: Sequence[RecalledHole]) -> list[dict[str, object]]:
    """Counts of all holes and of each language; also of those whose name stands nowhere else in the document."""
    groups = {"all": list(holes)}
    for language in sorted({hole.task.language for hole in holes}):
        groups[language] = [hole for hole in holes if hole.task.language == language]
    rows: list[dict[str, object]] = []
    for name, group in groups.items():
        away = [hole for hole in group if not hole.is_in_document]
        rows.append({
            "language": name, **asdict(count_recall(group)), "not_in_document": asdict(count_recall(away)),
        })  # fmt: skip
    return rows


def _show_recall(console: Console, rows: Sequence[dict[str, object]]) -> None:
    table = make_table(
        console, "language", "lines", "with snippets", "name visible", "not in document", "of those, name visible"
    )
    for row in rows:
        away = row["not_in_document"]
        assert isinstance(away, dict)
        counts = [
            row["num_holes"],
            row["num_with_snippets"],
            row["num_first"],
            away["num_holes"],
            away["num_first"],
        ]
        table.add_row(str(row["language"]), *map(str, counts))
    console.print(table)


def _spread(sorted_ms: Sequence[float]) -> dict[str, float]:
    last = len(sorted_ms) - 1
    ranks = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(sorted_ms[round(last * rank)], 3) for name, rank in ranks.items()}
