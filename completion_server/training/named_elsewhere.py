"""Holes on lines that use a name which another file defines: what a model learns to copy from snippets.

The names are found as serving finds them, by imports, packages and outlines; of the places, those are preferred
whose name stands nowhere else in the file and in a snippet that the server would show there.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from completion_server.context.files import SourceText
from completion_server.context.index import WorkspaceIndex
from completion_server.context.reach import imported_sources, package_sources
from completion_server.evaluation.fim_spans import Hole, Span, SpanKind
from completion_server.evaluation.held_out import SourceFile
from completion_server.snippet import CrossFileContext
from completion_server.training.repository_context import RepositoryContext

_NAME = re.compile(r"[^\W\d]\w{2,}")
_NO_CODE = re.compile(r"\s*(?:(?:import|from|use|export|require|package|mod)\b|#|//|/?\*)")
_MIN_REST_CHARS, _MAX_REST_CHARS = 8, 120
_MAX_PLACES = 4
_AT_NAME, _WITHIN_NAME = 0.5, 0.25
"""How often the cursor is just before the name, and after its first letters; else the whole line is missing."""
_MAX_TYPED_CHARS = 3


@dataclass(frozen=True)
class _Place:
    """A name in a line's code: ``text[start:end]`` is the rest of the line from the name on."""

    name: str
    start: int
    end: int


def pick_hole_named_elsewhere(
    file: SourceFile, repositories: RepositoryContext, max_tokens: int, rng: random.Random
) -> tuple[Hole, CrossFileContext] | None:
    """A hole on a line of ``file`` that uses a name of another file, and its snippets in ``max_tokens``.

    The first of a few places whose name is in the snippets. None where no place's is.
    """
    index = repositories.index_of(file.repository)
    source = index.get(file.path)
    places = [] if source is None else list(_places(file.text, names_of_other_files(source, index)))
    counts = Counter(_NAME.findall(file.text)) if places else Counter()
    for _ in range(min(_MAX_PLACES, len(places))):
        place = rng.choices(places, [1 / counts[each.name] for each in places])[0]
        places.remove(place)
        hole = repositories.hole(file, _span(file.text, place, rng))
        context = repositories.snippets(file, hole, max_tokens)
        is_name = re.compile(rf"\b{re.escape(place.name)}\b")
        if any(is_name.search(snippet.text) for snippet in context.snippets):
            return hole, context
    return None


def names_of_other_files(source: SourceText, index: WorkspaceIndex) -> frozenset[str]:
    """Names and members that files define which ``source`` imports or sees, and that it does not define itself."""
    names: set[str] = set()
    for wanted, other in imported_sources(source.imports, source.path, source.language_id, index):
        found = [other.by_name[name] for name in wanted.names if name in other.by_name]
        for definition in found or other.definitions:
            names |= definition.names | {member.name for member in definition.members}
    for other in package_sources(source.path, source.language_id, index):
        names |= other.by_name.keys()
    own = {member.name for definition in source.definitions for member in definition.members}
    return frozenset(names - own - source.by_name.keys())


def _places(text: str, names: frozenset[str]) -> Iterator[_Place]:
    """The first of ``names`` in each line of code that goes on long enough; never at a line's first character."""
    offset = 0
    for line in text.splitlines(keepends=True) if names else ():
        body = line.rstrip()
        if not _NO_CODE.match(line):
            for match in _NAME.finditer(body):
                is_long_enough = _MIN_REST_CHARS <= len(body) - match.start() <= _MAX_REST_CHARS
                if match[0] in names and body[: match.start()].strip() and is_long_enough:
                    yield _Place(match[0], offset + match.start(), offset + len(body))
                    break
        offset += len(line)


def _span(text: str, place: _Place, rng: random.Random) -> Span:
    draw = rng.random()
    if draw < _AT_NAME:
        return Span(SpanKind.REST_OF_LINE, place.start, place.end)
    if draw < _AT_NAME + _WITHIN_NAME:
        num_typed = rng.randint(1, min(_MAX_TYPED_CHARS, len(place.name) - 1))
        return Span(SpanKind.REST_OF_LINE, place.start + num_typed, place.end)
    line_start = text.rfind("\n", 0, place.start) + 1
    indent = len(text[line_start:]) - len(text[line_start:].lstrip(" \t"))
    return Span(SpanKind.WHOLE_LINE, line_start + indent, place.end)
