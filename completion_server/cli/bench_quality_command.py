"""``completion-server bench quality``: whether the model as it is served still writes what it does in float32."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from completion_server.bootstrap import cache_dir_of, resolve
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import make_console, make_facts_table, print_json, shown_progress
from completion_server.evaluation.machine import describe_machine
from completion_server.evaluation.quality import MAX_NLL_CHANGE, MIN_AGREEMENT, Quality, measure_quality


def run(options: CommonOptions, *, as_json: bool = False) -> None:
    """Measure and print; the last line of stdout is one JSON object."""
    settings = options.resolve(Path.cwd()).settings
    with shown_progress(make_console(stderr=True)) as progress:
        directory = resolve(settings, progress).path
        quality = measure_quality(directory, settings.model, cache_dir_of(settings.model), progress)
    if not as_json:
        make_console().print(make_facts_table(_rows(quality)))
    facts = {"bench": "quality", "model": settings.model.name, "machine": describe_machine()}
    figures = {**asdict(quality), "nll_change": quality.nll_change, "passes": quality.passes}
    print_json({**facts, **figures}, indent=None)


def _rows(quality: Quality) -> dict[str, object]:
    return {
        "weights": quality.dtype,
        "tokens of code": quality.num_tokens,
        "same most probable token as float32": f"{quality.agreement:.1%} (wanted: {MIN_AGREEMENT:.0%})",
        "NLL per token": f"{quality.nll:.4f} (wanted: within {MAX_NLL_CHANGE:.0%} of {quality.float32_nll:.4f})",
        "gate": "passed" if quality.passes else "not passed",
    }
