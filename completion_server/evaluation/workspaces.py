"""Repositories of held-out files as the workspaces that an editor would have open: on the disk, and indexed.

A hole's own file is the open document, so that what the disk has of it (the answer) plays no part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from completion_server.context.collect import ContextCollector
from completion_server.evaluation.fim_infill import Completer, Task, fill_hole
from completion_server.evaluation.fim_score import FilledHole
from completion_server.evaluation.fim_spans import Hole
from completion_server.evaluation.held_out import SourceFile
from completion_server.request import WorkspaceView


def write_workspaces(files: Iterable[SourceFile], directory: Path, repositories: Iterable[str]) -> dict[str, Path]:
    """Write the files of each of ``repositories`` below ``directory``; where each of them lies."""
    roots = {
        name: directory.resolve() / f"repository_{number}" for number, name in enumerate(sorted(set(repositories)))
    }
    for root in roots.values():
        root.mkdir(parents=True, exist_ok=True)
    for file in files:
        if file.repository in roots:
            write_file(file, roots[file.repository])
    return roots


def write_file(file: SourceFile, root: Path) -> bool:
    """Write ``file`` below ``root``. False for a path that leads out of it or cannot be made."""
    target = root / file.path
    if not target.resolve().is_relative_to(root.resolve()):
        return False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.text, encoding="utf-8", newline="")
    except OSError:
        return False
    return True


def index_workspace(collector: ContextCollector, hole: Hole, root: Path) -> WorkspaceView:
    """Let ``collector`` (without a background) look at all files below ``root``, where ``hole``'s document is."""
    view = WorkspaceView((), root.as_uri())
    collector.collect(hole.document, hole.position, view, 0)
    while collector.work():
        pass
    collector.clear()
    return view


def fill_in_workspaces(
    service: Completer, collector: ContextCollector, tasks: Sequence[Task], roots: Mapping[str, Path]
) -> Iterator[FilledHole]:
    """As ``fill_holes``, each hole in the workspace of its repository, those of one workspace after each other.

    ``roots`` say where the repositories lie; ``collector``, without a background, is the context of ``service``.
    """
    for task in sorted(tasks, key=lambda each: each.repository):
        root = roots[task.repository]
        document = replace(task.hole.document, uri=(root / task.path).as_uri())
        placed = replace(task, hole=replace(task.hole, document=document))
        yield fill_hole(service, placed, index_workspace(collector, placed.hole, root))
