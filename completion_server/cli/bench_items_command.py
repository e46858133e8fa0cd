"""``completion-server bench items``: what several suggestions by hand cost against one."""

from __future__ import annotations

from pathlib import Path

from completion_server.bootstrap import build_service
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import make_console, make_facts_table, print_json, shown_progress
from completion_server.errors import RequestError
from completion_server.evaluation.items_bench import ItemsFigures, measure_items, without_memory
from completion_server.evaluation.machine import describe_machine


def run(options: CommonOptions, *, num_places: int, as_json: bool = False) -> None:
    """Measure and print; the last line of stdout is one JSON object. Raises CompletionServerError."""
    settings = without_memory(options.resolve(Path.cwd()).settings)
    num_items = settings.generation.invoked_max_items
    with shown_progress(make_console(stderr=True)) as progress:
        service = build_service(settings, progress)
        figures = measure_items(
            service, num_places, num_items, lambda done: progress("measuring", done / num_places)
        )
    if not figures.one_ms:
        raise RequestError("the model had no second suggestion anywhere: nothing to compare")
    if not as_json:
        make_console().print(make_facts_table(_rows(figures, num_items)))
    facts = {"bench": "items", "model": settings.model.name, "max_items": num_items}
    print_json({**facts, **figures.as_dict(), "machine": describe_machine()}, indent=None)


def _rows(figures: ItemsFigures, num_items: int) -> dict[str, object]:
    found = figures.as_dict()
    return {
        "places with more than one": found["num_places"],
        "one item": f"{found['one_ms']} ms",
        f"up to {num_items} items ({found['mean_items']} found)": f"{found['several_ms']} ms",
        "ratio, median and quartiles": f"{found['ratio']} ({found['ratio_quartiles']})",
    }
