"""Where the command line writes: rich on a terminal, plain text without escape codes anywhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import typer
from rich import box
from rich.console import Console
from rich.table import Table

_PLAIN_WIDTH = 160
"""Columns where there is no terminal, so that a line is a line."""

ShowProgress = Callable[[str, "float | None"], None]


def make_console(*, stderr: bool = False) -> Console:
    """A console; paths and code are text to it, also those with square brackets."""
    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if console.is_terminal and (console.no_color or console.is_dumb_terminal):
        # rich only drops the colours; whoever sets NO_COLOR also gets no other escape codes from us.
        console = Console(stderr=stderr, markup=False, highlight=False, emoji=False, force_terminal=False)
    elif not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


def print_json(value: object, *, indent: int | None = 2) -> None:
    """One JSON value on stdout."""
    typer.echo(json.dumps(value, indent=indent, ensure_ascii=False, default=str))


def make_table(console: Console, *headings: str, title: str | None = None) -> Table:
    """A table with lines on a terminal and without elsewhere; columns after the first are right-aligned."""
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def make_facts_table(facts: Mapping[str, object]) -> Table:
    """Names and values in two columns."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(name, str(value))
    return table


@contextmanager
def shown_progress(console: Console) -> Iterator[ShowProgress]:
    """Yield a callback ``(message, fraction)``: a moving bar on a terminal, else one line per new message."""
    if not console.is_terminal:
        yield _line_printer(console)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def show(message: str, fraction: float | None) -> None:
            progress.update(task, description=message or "loading", total=None if fraction is None else 1.0)
            if fraction is not None:
                progress.update(task, completed=fraction)

        yield show


def _line_printer(console: Console) -> ShowProgress:
    last: list[str] = []

    def show(message: str, _fraction: float | None) -> None:
        if message and last[-1:] != [message]:
            last.append(message)
            console.print(f"... {message}", soft_wrap=True)

    return show
