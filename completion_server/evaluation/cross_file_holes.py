"""Holes on lines that use a name defined in another file of the same repository, which is the workspace.

Where the name is defined is read from outlines and imports, as serving does; a hole begins before such a name, so
that the rest of the line cannot be written from the file alone. The idea is CrossCodeEval's (Ding et al. 2023,
arXiv 2310.11248), which finds such names by static analysis.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from completion_server.context.collect import ContextCollector
from completion_server.context.definitions import imported_sources
from completion_server.context.files import head_of, language_of
from completion_server.context.imports import find_imports
from completion_server.context.index import WorkspaceIndex
from completion_server.document import Document
from completion_server.evaluation.fim_infill import Completer, ask, first_text
from completion_server.evaluation.fim_score import FilledHole
from completion_server.evaluation.fim_spans import Hole, Span, SpanKind, cut_hole
from completion_server.evaluation.held_out import SourceFile
from completion_server.request import WorkspaceView

KIND = "cross-file"
_NAME = re.compile(r"[^\W\d]\w+")
_IMPORT_LINE = re.compile(r"\s*(?:import|from|use|export|#include|require|package|mod)\b")
_COMMENT_LINE = re.compile(r"\s*(?:#|//|\*|/\*)")
_MIN_REST_CHARS, _MAX_REST_CHARS = 8, 120


@dataclass(frozen=True)
class CrossFileTask:
    """One hole, the language, and the directory that its repository was written to."""

    hole: Hole
    language: str
    root: Path


def make_cross_file_tasks(
    files: Sequence[SourceFile], directory: Path, max_tasks: int, seed: int = 0
) -> list[CrossFileTask]:
    """Up to ``max_tasks`` holes, one per file, spread over languages.

    The repositories are written below ``directory``. The same for the same files and seed.
    """
    rng = random.Random(seed)
    by_repository: dict[str, list[SourceFile]] = {}
    for file in files:
        by_repository.setdefault(file.repository, []).append(file)
    by_language: dict[str, list[CrossFileTask]] = {}
    for number, repository in enumerate(sorted(by_repository)):
        root = directory / f"repository_{number}"
        for task in _tasks_of(by_repository[repository], root, rng):
            by_language.setdefault(task.language, []).append(task)
    for group in by_language.values():
        rng.shuffle(group)
    tasks: list[CrossFileTask] = []
    while len(tasks) < max_tasks and any(by_language.values()):
        for language in sorted(by_language):
            if by_language[language] and len(tasks) < max_tasks:
                tasks.append(by_language[language].pop())
    return tasks


def fill_cross_file_holes(
    service: Completer, collector: ContextCollector, tasks: Sequence[CrossFileTask]
) -> Iterator[FilledHole]:
    """Ask ``service``, whose context is ``collector`` (without a background), for each of ``tasks``.

    Every workspace is indexed before it is asked about; each hole starts from empty caches and has no time limit.
    Those of one workspace follow each other.
    """
    for task in sorted(tasks, key=lambda each: each.root):
        view = WorkspaceView((), task.root.as_uri())
        service.clear_caches()
        collector.collect(task.hole.document, task.hole.position, view, 0)
        while collector.work():
            pass
        text = first_text(ask(service, task.hole, workspace=view))
        yield FilledHole(task.language, KIND, task.hole.middle, text)


def _tasks_of(files: Sequence[SourceFile], root: Path, rng: random.Random) -> Iterator[CrossFileTask]:
    if len(files) < 2:
        return
    written = [file for file in files if _write(file, root)]
    index = WorkspaceIndex(root)
    while index.work():
        pass
    for file in written:
        found = _find_hole(file, root, index, rng)
        if found is not None:
            yield CrossFileTask(found, file.language, root)


def _write(file: SourceFile, root: Path) -> bool:
    """False for a path that leads out of ``root`` or cannot be made."""
    target = root / file.path
    if not target.resolve().is_relative_to(root.resolve()):
        return False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.text, encoding="utf-8", newline="")
    except OSError:
        return False
    return True


def _find_hole(file: SourceFile, root: Path, index: WorkspaceIndex, rng: random.Random) -> Hole | None:
    """The rest of a line from just before a name that another file defines and this one does not."""
    source = index.get(file.path)
    language_id = language_of(file.path)
    if source is None or language_id is None:
        return None
    document = Document.from_text(file.text, language_id=language_id)
    imports = find_imports(head_of(document.lines), language_id)
    names = {
        name
        for wanted, other in imported_sources(imports, file.path, language_id, index)
        for name in (wanted.names or other.by_name)
        if name in other.by_name and name not in source.by_name
    }
    spans = list(_spans(document, names))
    if not spans:
        return None
    start, end = rng.choice(spans)
    uri = (root / file.path).as_uri()
    return cut_hole(file.text, Span(SpanKind.REST_OF_LINE, start, end), uri=uri, language_id=language_id)


def _spans(document: Document, names: set[str]) -> Iterator[tuple[int, int]]:
    """(start, end) of the rests of lines that begin with one of ``names``; never at a line's first character."""
    offset = 0
    for line in document.lines:
        body = line.rstrip()
        if not _IMPORT_LINE.match(line) and not _COMMENT_LINE.match(line):
            for match in _NAME.finditer(body):
                is_long_enough = _MIN_REST_CHARS <= len(body) - match.start() <= _MAX_REST_CHARS
                if match[0] in names and body[: match.start()].strip() and is_long_enough:
                    yield offset + match.start(), offset + len(body)
                    break
        offset += len(line)
