"""``completion-server models``: list, fetch, describe and remove models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from completion_server.bootstrap import cache_dir_of
from completion_server.catalog.progress import Progress as ProgressCallback
from completion_server.catalog.registry import (
    DEFAULT_MODEL_NAME,
    MODEL_ENTRIES,
    HubSource,
    ModelEntry,
    find_entry,
)
from completion_server.catalog.resolve import FetchPolicy, resolve_model
from completion_server.catalog.store import InstalledModel, ModelStore
from completion_server.config import load_settings
from completion_server.errors import CompletionServerError, ModelNotFoundError

app = typer.Typer(help="List, fetch, describe and remove models.", no_args_is_help=True)

_PLAIN_WIDTH = 200
"""Columns where there is no terminal, so that a line is a line."""

NameArgument = Annotated[str, typer.Argument(help="A name from `models list`, or a Hub id (org/name).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the known models and what is installed."""
    with _clear_errors():
        cache_dir, _ = _model_settings()
        installed = {model.name: model for model in ModelStore(cache_dir).list_installed()}
        rows = [_describe(entry, installed.get(entry.name)) for entry in MODEL_ENTRIES]
        rows += [_describe(None, model) for name, model in installed.items() if find_entry(name) is None]
        if as_json:
            _print_json(rows)
            return
        console = _console()
        console.print(_models_table(rows, with_lines=console.is_terminal))
        console.print("(!) the licence has conditions: see `completion-server models show NAME`", soft_wrap=True)
        console.print(f"Models are kept in {cache_dir}", soft_wrap=True)


@app.command("pull")
def pull_model(
    name: NameArgument = DEFAULT_MODEL_NAME,
    force: Annotated[bool, typer.Option("--force", help="Fetch and convert it again, if it is damaged.")] = False,
) -> None:
    """Fetch a model, so that it can be used without a network from then on."""
    with _clear_errors():
        cache_dir, offline = _model_settings()
        entry = find_entry(name)
        if entry is not None and entry.licence_note:
            note = f"{entry.title}: {entry.licence}. {entry.licence_note} {entry.licence_url or ''}"
            _console(stderr=True).print(note.rstrip(), soft_wrap=True)
        with _shown_progress() as progress:
            model = resolve_model(name, cache_dir, FetchPolicy(offline=offline, is_forced=force), progress)
        _console().print(f"{model.name} is ready in {model.path}", soft_wrap=True)


@app.command("show")
def show_model(name: NameArgument, as_json: JsonOption = False) -> None:
    """Describe one model: source, licence, size, where it is."""
    with _clear_errors():
        cache_dir, _ = _model_settings()
        entry, model = _find_either(name, ModelStore(cache_dir))
        description = _describe(entry, model)
        if as_json:
            _print_json(description)
            return
        table = Table.grid(padding=(0, 2))
        for key, value in description.items():
            if value not in (None, {}):
                table.add_row(key.replace("_", " "), _as_text(key, value))
        _console().print(table)


@app.command("remove")
def remove_model(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete an installed model from this disk."""
    with _clear_errors():
        cache_dir, _ = _model_settings()
        store = ModelStore(cache_dir)
        entry = find_entry(name)
        installed_name = entry.name if entry is not None else name
        model = store.find_by_name(installed_name)
        if model is None:
            raise ModelNotFoundError(f"no model called {name} is installed in {cache_dir}")
        if not yes:
            typer.confirm(f"Delete {model.name} ({_megabytes(model.num_bytes)}) from {model.path}?", abort=True)
        freed = store.remove(model.name)
        _console().print(f"Removed {model.name}, {_megabytes(freed)} freed")


def _console(*, stderr: bool = False) -> Console:
    # Paths and names are text, also those with square brackets.
    console = Console(stderr=stderr, markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


def _model_settings() -> tuple[Path, bool]:
    """(models directory, offline)"""
    settings = load_settings().settings.model
    return cache_dir_of(settings), settings.offline


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Our own errors are one message on stderr and exit code 1, not a traceback."""
    try:
        yield
    except CompletionServerError as error:
        _console(stderr=True).print(f"error: {error}", soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        _console(stderr=True).print("cancelled")
        raise typer.Exit(130) from None


@contextmanager
def _shown_progress() -> Iterator[ProgressCallback]:
    """A bar per stage on a terminal; a line per stage elsewhere. On stderr, so that stdout stays for results."""
    console = _console(stderr=True)
    if not console.is_terminal:
        seen: set[str] = set()

        def print_stage(stage: str, done: int, total: int | None) -> None:
            del done
            if stage not in seen:
                seen.add(stage)
                size = f" ({_megabytes(total)})" if total else ""
                console.print(f"{stage}{size}")

        yield print_stage
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def move_bar(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield move_bar


def _find_either(name: str, store: ModelStore) -> tuple[ModelEntry | None, InstalledModel | None]:
    entry = find_entry(name)
    model = store.find_by_name(entry.name if entry is not None else name)
    if entry is None and model is None:
        raise ModelNotFoundError(f"there is no model {name}; `completion-server models list` shows the known ones")
    return entry, model


def _describe(entry: ModelEntry | None, model: InstalledModel | None) -> dict[str, Any]:
    """One model for output; every key is always there."""
    manifest = model.manifest if model is not None else None
    return {
        "name": entry.name if entry else (model.name if model else ""),
        "title": entry.title if entry else None,
        "description": entry.description if entry else None,
        "default": entry is not None and entry.name == DEFAULT_MODEL_NAME,
        "installed": model is not None,
        "path": str(model.path) if model else None,
        "size_bytes": model.num_bytes if model else None,
        "download_bytes": entry.download_size if entry else None,
        "parameters": entry.parameters if entry else None,
        "licence": entry.licence if entry else (manifest.licence if manifest else None),
        "licence_note": entry.licence_note if entry else None,
        "licence_url": entry.licence_url if entry else None,
        "fim_format": entry.fim_format if entry else (manifest.fim_format if manifest else None),
        "source": model.source if model else (_source_text(entry) if entry else None),
        "converted_from": manifest.converted_from if manifest else None,
        "recommended_settings": dict(entry.recommended_settings) if entry else {},
    }


def _source_text(entry: ModelEntry) -> str:
    if isinstance(entry.source, HubSource):
        return f"hub {entry.source.repo_id}"
    return f"package {entry.source.distribution} {entry.source.version}"


def _models_table(rows: list[dict[str, Any]], *, with_lines: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD if with_lines else None)
    for heading in ("model", "parameters", "on disk", "licence", "fill-in-the-middle"):
        table.add_column(heading, no_wrap=heading != "licence")
    for row in rows:
        table.add_row(
            row["name"] + (" (default)" if row["default"] else ""),
            _as_text("parameters", row["parameters"]),
            _as_text("size_bytes", row["size_bytes"]),
            (row["licence"] or "-") + (" (!)" if row["licence_note"] else ""),
            row["fim_format"] or "-",
        )
    return table


def _as_text(key: str, value: object) -> str:
    if value is None:
        return "-"
    if key == "parameters" and isinstance(value, int):
        return f"{value / 1e9:.1f} B" if value >= 1e9 else f"{value / 1e6:.0f} M"
    if key.endswith("_bytes") and isinstance(value, int):
        return _megabytes(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} = {setting}" for name, setting in value.items())
    return str(value)


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
