"""Fills holes in held-out files through the service, as an editor would have it: healing, stops, filters."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from completion_server.config import Settings
from completion_server.evaluation.fim_score import FilledHole
from completion_server.evaluation.fim_spans import Hole, SpanKind, cut_hole, pick_span
from completion_server.evaluation.held_out import SourceFile
from completion_server.request import (
    CancellationToken,
    Completion,
    CompletionRequest,
    Deadline,
    TriggerKind,
    WorkspaceView,
)

KINDS = (SpanKind.REST_OF_LINE, SpanKind.WHOLE_LINE, SpanKind.BLOCK)
_TRIES_PER_HOLE = 20
_MAX_LINE_CHARS = 160


class Completer(Protocol):
    """The service, as far as this module uses it."""

    def complete(self, request: CompletionRequest) -> Completion: ...

    def clear_caches(self) -> None: ...


def with_nothing_hidden(settings: Settings) -> Settings:
    """``settings`` under which what the model writes is what is scored, however unsure it was."""
    return replace(settings, generation=replace(settings.generation, suggestions="eager"))


@dataclass(frozen=True)
class Task:
    """One hole, where it is from, and what is asked for."""

    hole: Hole
    kind: SpanKind
    language: str
    repository: str
    path: str
    """In the repository."""


def make_tasks(files: Sequence[SourceFile], num_per_kind: int, seed: int = 0) -> list[Task]:
    """Up to ``num_per_kind`` holes of each kind, spread over languages and repositories.

    The same for the same files and seed."""
    rng = random.Random(seed)
    by_place: dict[str, dict[str, list[SourceFile]]] = {}
    for file in files:
        by_place.setdefault(file.language, {}).setdefault(file.repository, []).append(file)
    languages = sorted(by_place)
    tasks: list[Task] = []
    for kind in KINDS:
        for number in range(num_per_kind):
            language = languages[number % len(languages)]
            task = _make_task(by_place[language], language, kind, rng)
            if task is not None:
                tasks.append(task)
    return tasks


def _make_task(
    repositories: dict[str, list[SourceFile]], language: str, kind: SpanKind, rng: random.Random
) -> Task | None:
    for _ in range(_TRIES_PER_HOLE):
        repository = rng.choice(sorted(repositories))
        file = rng.choice(repositories[repository])
        span = pick_span(file.text, language, kind, rng)
        if span is None:
            continue
        hole = cut_hole(file.text, span, uri=f"file:///{file.path}", language_id=language)
        is_one_line = "\n" not in hole.middle and len(hole.middle) <= _MAX_LINE_CHARS
        if hole.middle.strip() and (kind is SpanKind.BLOCK or is_one_line):
            return Task(hole, kind, language, repository, file.path)
    return None


def fill_holes(service: Completer, tasks: Sequence[Task]) -> Iterator[FilledHole]:
    """Ask ``service`` for each of ``tasks``, without a time limit, each from empty caches, each file by itself."""
    for task in tasks:
        yield fill_hole(service, task)


def fill_hole(service: Completer, task: Task, workspace: WorkspaceView = WorkspaceView()) -> FilledHole:  # noqa: B008
    """Blocks are asked for by hand, as a person would; the others as if they appeared while typing."""
    trigger = TriggerKind.INVOKED if task.kind is SpanKind.BLOCK else TriggerKind.AUTOMATIC
    text = first_text(ask(service, task.hole, trigger, workspace=workspace))
    return FilledHole(task.language, task.kind.value, task.hole.middle, text)


def ask(
    service: Completer,
    hole: Hole,
    trigger: TriggerKind = TriggerKind.AUTOMATIC,
    *,
    deadline: Deadline | None = None,
    workspace: WorkspaceView = WorkspaceView(),  # noqa: B008 - frozen
) -> Completion:
    """What ``service`` says at ``hole``, from empty caches; ``deadline`` None: however long it takes."""
    service.clear_caches()
    return service.complete(
        CompletionRequest(
            hole.document,
            hole.position,
            trigger,
            deadline or Deadline.never(),
            CancellationToken(),
            workspace=workspace,
        )
    )


def first_text(completion: Completion) -> str:
    """The first item's text, "" without one."""
    return completion.items[0].text if completion.items else ""
