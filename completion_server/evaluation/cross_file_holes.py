"""Holes on lines that use a name defined in another file of the same repository, which is the workspace.

Where the name is defined is read from outlines, by names alone (``names_elsewhere``); a hole begins before such a
name, so that the rest of the line cannot be written from the file alone. The idea is CrossCodeEval's (Ding et al.
2023, arXiv 2310.11248), which finds such names by static analysis. Beside them, holes elsewhere in the same
workspaces, where no such name stands: what other files' text must not make worse.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from pathlib import Path

from completion_server.context.collect import ContextCollector
from completion_server.context.files import SourceText, language_of
from completion_server.context.index import WorkspaceIndex
from completion_server.evaluation.fim_infill import Completer, ask, first_text
from completion_server.evaluation.fim_score import FilledHole
from completion_server.evaluation.fim_spans import Hole, Span, SpanKind, cut_hole, pick_span
from completion_server.evaluation.held_out import SourceFile
from completion_server.evaluation.names_elsewhere import NamesElsewhere, common_names, declared_names
from completion_server.evaluation.workspaces import index_workspace, write_file

KIND = "cross-file"
ELSEWHERE_KIND = "elsewhere"
_NO_CODE_LINE = re.compile(
    r"\s*(?:(?:import|from|use|pub use|export|#\s*include|require|package|mod)\b"
    r"|#(?!\s*(?:define|if|elif))|//|\*|/\*)"
)
_MAX_TRIES_ELSEWHERE = 5
_MIN_REST_CHARS, _MAX_REST_CHARS = 8, 120


@dataclass(frozen=True)
class CrossFileTask:
    """One hole, the language, the directory that its repository was written to, and the names that are needed."""

    hole: Hole
    language: str
    root: Path
    needed_names: tuple[str, ...] = ()
    """In the order of the line; the middle begins with the first. None of them: a hole elsewhere."""

    @property
    def kind(self) -> str:
        return KIND if self.needed_names else ELSEWHERE_KIND


def make_cross_file_tasks(
    files: Sequence[SourceFile], directory: Path, max_tasks: int, seed: int = 0, *, max_elsewhere: int = 0
) -> list[CrossFileTask]:
    """Up to ``max_tasks`` holes, one per file, spread over languages, and up to ``max_elsewhere`` elsewhere, too.

    The repositories are written below ``directory``. The same for the same files and seed.
    """
    rng, rng_elsewhere = random.Random(seed), random.Random(f"elsewhere/{seed}")
    by_repository: dict[str, list[SourceFile]] = {}
    for file in files:
        by_repository.setdefault(file.repository, []).append(file)
    tasks: list[CrossFileTask] = []
    common = common_names((file.repository, file.text) for file in files)
    for number, repository in enumerate(sorted(by_repository)):
        root = directory / f"repository_{number}"
        tasks += _tasks_of(by_repository[repository], root, common, rng, rng_elsewhere if max_elsewhere else None)
    needed, elsewhere = ([task for task in tasks if task.kind == kind] for kind in (KIND, ELSEWHERE_KIND))
    return [*_spread(needed, max_tasks, rng), *_spread(elsewhere, max_elsewhere, rng_elsewhere)]


def _spread(tasks: Sequence[CrossFileTask], max_tasks: int, rng: random.Random) -> Iterator[CrossFileTask]:
    """As many of each language, as far as they go."""
    by_language: dict[str, list[CrossFileTask]] = {}
    for task in tasks:
        by_language.setdefault(task.language, []).append(task)
    for group in by_language.values():
        rng.shuffle(group)
    rounds = zip_longest(*(reversed(by_language[language]) for language in sorted(by_language)))
    return islice((task for of_each in rounds for task in of_each if task is not None), max_tasks)


def fill_cross_file_holes(
    service: Completer, collector: ContextCollector, tasks: Sequence[CrossFileTask]
) -> Iterator[FilledHole]:
    """Ask ``service``, whose context is ``collector`` (without a background), for each of ``tasks``.

    Every workspace is indexed before it is asked about; each hole starts from empty caches and has no time limit.
    Those of one workspace follow each other.
    """
    for task in by_workspace(tasks):
        view = index_workspace(collector, task.hole, task.root)
        service.clear_caches()
        text = first_text(ask(service, task.hole, workspace=view))
        yield FilledHole(task.language, task.kind, task.hole.middle, text)


def by_workspace(tasks: Sequence[CrossFileTask]) -> list[CrossFileTask]:
    """Those of one workspace after each other: few are kept indexed."""
    return sorted(tasks, key=lambda each: each.root)


def _tasks_of(
    files: Sequence[SourceFile],
    root: Path,
    common: Collection[str],
    rng: random.Random,
    rng_elsewhere: random.Random | None,
) -> Iterator[CrossFileTask]:
    if len(files) < 2:
        return
    written = [file for file in files if write_file(file, root)]
    index = WorkspaceIndex(root)
    while index.work():
        pass
    names = NamesElsewhere(index, [file.path for file in written], common)
    for file in written:
        found = _find_hole(file, root, index, names, rng)
        if found is not None:
            # What was there must not be found again on the disk.
            write_file(replace(file, text=found.hole.document.text), root)
            yield found
        # Its own file is open, so that what is on the disk of it plays no part.
        if rng_elsewhere is not None and (found := _find_hole_elsewhere(file, root, index, names, rng_elsewhere)):
            yield found


def _find_hole(
    file: SourceFile, root: Path, index: WorkspaceIndex, names: NamesElsewhere, rng: random.Random
) -> CrossFileTask | None:
    """The rest of a line from just before a name that another file defines and this one does not."""
    source = index.get(file.path)
    language_id = language_of(file.path)
    if source is None or language_id is None:
        return None
    spans = list(_spans(file.text, source, names))
    if not spans:
        return None
    start, end, needed = rng.choice(spans)
    uri = (root / file.path).as_uri()
    hole = cut_hole(file.text, Span(SpanKind.REST_OF_LINE, start, end), uri=uri, language_id=language_id)
    return CrossFileTask(hole, file.language, root, needed)


def _find_hole_elsewhere(
    file: SourceFile, root: Path, index: WorkspaceIndex, names: NamesElsewhere, rng: random.Random
) -> CrossFileTask | None:
    """The rest of a line or whole lines, without a name that another file defines and this one does not."""
    source, language_id = index.get(file.path), language_of(file.path)
    if source is None or language_id is None or not file.text.strip():
        return None
    kind = rng.choice((SpanKind.REST_OF_LINE, SpanKind.WHOLE_LINE))
    declared = declared_names(file.text, source)
    for _ in range(_MAX_TRIES_ELSEWHERE):
        span = pick_span(file.text, file.language, kind, rng)
        if span is None:
            return None
        middle = file.text[span.start : span.end]
        is_free = not any(any(names.in_line(line, 0, source, declared)) for line in middle.splitlines())
        if is_free and len(middle.strip()) >= _MIN_REST_CHARS:
            hole = cut_hole(file.text, span, uri=(root / file.path).as_uri(), language_id=language_id)
            return CrossFileTask(hole, file.language, root)
    return None


def _spans(text: str, source: SourceText, names: NamesElsewhere) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """(start, end, names) of rests of lines that begin with a needed name; never at a line's first character."""
    declared = declared_names(text, source)
    offset = 0
    is_docstring = False
    for line in text.splitlines(keepends=True):
        body = line.rstrip()
        num_quotes = body.count('"""') + body.count("'''")
        is_code = not is_docstring and not num_quotes and not _NO_CODE_LINE.match(line)
        is_docstring ^= num_quotes % 2 == 1
        if is_code:
            first = len(body) - len(body.lstrip()) + 1
            needed = [each for each in names.in_line(body, first, source, declared) if not _is_quoted(body, each)]
            start = needed[0].start() if needed else len(body)
            if _MIN_REST_CHARS <= len(body) - start <= _MAX_REST_CHARS:
                yield offset + start, offset + len(body), tuple(dict.fromkeys(match[0] for match in needed))
        offset += len(line)


def _is_quoted(line: str, match: re.Match[str]) -> bool:
    """Whether the name seems to stand inside of a string."""
    before = line[: match.start()]
    return any(before.count(quote) % 2 and quote in line[match.end() :] for quote in "\"'`")
