"""What a run says: a JSON-lines file for tools, and a bar with loss, speed and time left for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LOG_NAME = "log.jsonl"
_LINES_EVERY_STEPS = 10


@dataclass(frozen=True)
class StepReport:
    """One step. Losses in nats per token: ``loss`` weighted, ``middle_nll`` of middles and their ends only."""

    step: int
    loss: float
    middle_nll: float | None
    learning_rate: float
    gradient_norm: float
    num_tokens: int
    tokens_per_s: float
    elapsed_s: float


class RunView(Protocol):
    """Whoever wants to know how a run goes."""

    def on_step(self, report: StepReport) -> None: ...

    def on_event(self, kind: str, facts: dict[str, object]) -> None:
        """Something besides a step: "started", "validation", "checkpoint", "skipped", "stopped", "finished"."""
        ...


class LogFile:
    """Appends one JSON object per step and event."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_step(self, report: StepReport) -> None:
        self._append({"event": "step", **_rounded(asdict(report))})

    def on_event(self, kind: str, facts: dict[str, object]) -> None:
        self._append({"event": kind, **_rounded(facts)})

    def _append(self, value: dict[str, object]) -> None:
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(value) + "\n")


class ConsoleView:
    """A moving bar on a terminal, else a line every few steps."""

    def __init__(self, console: Console, progress: Progress | None, num_steps: int, first_step: int) -> None:
        self._console = console
        self._progress = progress
        if progress is not None:
            self._task = progress.add_task("", total=num_steps, completed=first_step)
        self._num_steps = num_steps

    def on_step(self, report: StepReport) -> None:
        middle = "" if report.middle_nll is None else f", middle {report.middle_nll:.3f}"
        text = f"loss {report.loss:.3f}{middle}, {report.tokens_per_s:.0f} tokens/s"
        if self._progress is not None:
            self._progress.update(self._task, completed=report.step, description=text)
        elif report.step % _LINES_EVERY_STEPS == 0 or report.step == self._num_steps:
            self._console.print(f"step {report.step} of {self._num_steps}: {text}", soft_wrap=True)

    def on_event(self, kind: str, facts: dict[str, object]) -> None:
        shown = ", ".join(f"{name} {value}" for name, value in _rounded(facts).items())
        self._console.print(f"{kind}: {shown}", soft_wrap=True)


@contextmanager
def shown_run(console: Console, num_steps: int, first_step: int = 0) -> Iterator[ConsoleView]:
    """A view on ``console`` as long as the run goes."""
    if not console.is_terminal:
        yield ConsoleView(console, None, num_steps, first_step)
        return
    columns = (MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        yield ConsoleView(console, progress, num_steps, first_step)


def _rounded(facts: dict[str, object]) -> dict[str, object]:
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in facts.items()}
