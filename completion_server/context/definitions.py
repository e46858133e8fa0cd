"""Definitions of the names that are used near the cursor, from the files that the current one imports."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from completion_server.context.files import SourceText, is_same_family
from completion_server.context.imports import Import, resolve_import
from completion_server.context.index import WorkspaceIndex
from completion_server.context.outline import Definition
from completion_server.snippet import Snippet, SnippetKind
from completion_server.syntax import grammar_of

_OWN_NAME, _MEMBER_NAME, _IMPORTED_NAME = 2.0, 0.5, 0.05
_MAX_DEFINITIONS = 12
_MAX_FILES = 60
_MAX_SHARE_OF_ONE = 0.6
_PACKAGE_IS_DIRECTORY = frozenset({"go", "java", "kotlin", "csharp", "swift"})
"""Languages in which files of one directory see each other's definitions without an import."""


@dataclass
class _Found:
    """A definition, how much speaks for it, and where it is."""

    source: SourceText
    definition: Definition
    score: float
    used_names: set[str] = field(default_factory=set)


def imported_sources(
    imports: Sequence[Import], path: str, language_id: str, index: WorkspaceIndex
) -> list[tuple[Import, SourceText]]:
    """The indexed files that ``imports`` of the file at ``path`` lead to, also through one file that hands on."""
    found: dict[tuple[Import, str], SourceText] = {}
    for each in imports:
        for source in _sources(each, path, language_id, index):
            found[each, source.path] = source
            missing = tuple(name for name in each.names if name not in source.by_name)
            handed_on = [inner for inner in source.imports if inner.is_all or set(inner.names) & set(missing)]
            for inner in handed_on if missing else ():
                wanted = Import(inner.module, missing)
                behind = _sources(inner, source.path, language_id, index)
                found |= {(wanted, one.path): one for one in behind if one.by_name.keys() & set(missing)}
        if len(found) >= _MAX_FILES:
            break
    return [(wanted, source) for (wanted, _), source in found.items()]


def _sources(found: Import, path: str, language_id: str, index: WorkspaceIndex) -> Iterator[SourceText]:
    for each in resolve_import(found, path, language_id, index):
        source = index.get(each)
        if source is not None:
            yield source


def package_sources(path: str, language_id: str, index: WorkspaceIndex) -> list[SourceText]:
    """Files whose definitions the file at ``path`` sees without importing them."""
    if grammar_of(language_id) not in _PACKAGE_IS_DIRECTORY:
        return []
    siblings = (index.get(each) for each in sorted(index.files_in(posixpath.dirname(path))) if each != path)
    same = [each for each in siblings if each is not None and is_same_family(each.language_id, language_id)]
    return same[:_MAX_FILES]


def definition_snippets(
    imported: Sequence[tuple[Import, SourceText]],
    package: Sequence[SourceText],
    weights: Mapping[str, float],
    max_chars: int,
) -> tuple[list[Snippet], frozenset[str]]:
    """Snippets, one per file, the most wanted first, in about ``max_chars``; and the names used that they explain.

    ``weights`` are those of the names near the cursor.
    """
    found: dict[tuple[str, int], _Found] = {}
    for wanted, source in imported:
        is_whole = wanted.is_all or not wanted.names
        for name in wanted.names:
            if name in source.by_name:
                _add(found, source, source.by_name[name], name, _IMPORTED_NAME, weights)
        if is_whole:
            _add_used(found, source, weights)
        elif not any(name in source.by_name for name in wanted.names):
            _add_used(found, source, weights)  # ``from package import module``
    for source in package:
        _add_used(found, source, weights)
    ranked = sorted(found.values(), key=lambda each: (-each.score, each.source.path, each.definition.first_line))
    return _render(ranked[:_MAX_DEFINITIONS], weights, max_chars)


def _add_used(found: dict[tuple[str, int], _Found], source: SourceText, weights: Mapping[str, float]) -> None:
    for name in weights:
        if name in source.by_name:
            _add(found, source, source.by_name[name], name, 0.0, weights)


def _add(
    found: dict[tuple[str, int], _Found],
    source: SourceText,
    definition: Definition,
    name: str,
    base: float,
    weights: Mapping[str, float],
) -> None:
    key = source.path, definition.first_line
    if key in found:
        return
    each = _Found(source, definition, base + _OWN_NAME * weights.get(name, 0.0))
    if name in weights:
        each.used_names.add(name)
    for member in definition.members:
        if member.name in weights:
            each.score += _MEMBER_NAME * weights[member.name]
            each.used_names.add(member.name)
    found[key] = each


def _render(
    ranked: Sequence[_Found], weights: Mapping[str, float], max_chars: int
) -> tuple[list[Snippet], frozenset[str]]:
    """Takes definitions in order of rank as long as they fit; puts those of one file together, in its order."""
    texts: dict[str, list[tuple[_Found, str]]] = {}
    explained: set[str] = set()
    room = max_chars
    for each in ranked:
        text = each.definition.render(weights.keys(), min(room, max(int(max_chars * _MAX_SHARE_OF_ONE), 200)))
        if not text:
            continue
        room -= len(text)
        texts.setdefault(each.source.path, []).append((each, text))
        explained |= each.used_names
    snippets = []
    for path, group in texts.items():
        group.sort(key=lambda pair: pair[0].definition.first_line)
        snippets.append(
            Snippet(
                path,
                group[0][0].source.language_id,
                group[0][0].definition.first_line,
                max(each.definition.end_line for each, _ in group),
                SnippetKind.DEFINITION,
                "".join(text for _, text in group),
            )
        )
    return snippets, frozenset(explained)
