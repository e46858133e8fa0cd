"""Which definitions of other files a name may mean as seen from one: by its imports, its package, or at large."""

from __future__ import annotations

import posixpath
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence

from completion_server.context.definition import Definition
from completion_server.context.files import SourceText, is_same_family
from completion_server.context.imports import Import, resolve_import
from completion_server.context.index import WorkspaceIndex
from completion_server.syntax import grammar_of

_MAX_FILES = 60
_MAX_AT_LARGE = 3
_MAX_INCLUDES = 40
_MAX_OF_MODULE = 600
_MAX_SIBLINGS = 12
_PACKAGE_IS_DIRECTORY = frozenset({"go", "java", "kotlin", "csharp", "swift"})
"""Languages in which files of one directory see each other's definitions without an import."""

Found = tuple[SourceText, Definition]


class Reach:
    """What one file can see. Looks names up anew for each place; nothing is read from the disk."""

    def __init__(
        self,
        imports: Sequence[Import],
        path: str,
        language_id: str,
        index: WorkspaceIndex,
        hints: Mapping[tuple[str, ...], Sequence[str]],
    ) -> None:
        """``hints``: types that the expressions of these steps may have, by what the document says."""
        self._hints = hints
        self._path = path
        self._language_id = language_id
        self._index = index
        self._imports = imports
        self.imported = imported_sources(imports, path, language_id, index)
        self.package = package_sources(path, language_id, index)

    @property
    def open_sources(self) -> list[SourceText]:
        """Files whose names are used as they are: of the package, of headers, of ``import *``."""
        starred = [source for each, source in self.imported if each.is_all and not each.alias]
        return list({source.path: source for source in [*starred, *self.package]}.values())[:_MAX_FILES]

    def behind_module(self, steps: Sequence[str], *, is_path: bool) -> list[Found]:
        """Definitions that ``steps`` (``a``, ``b`` of ``a.b.``) stand before as a module, also what it hands on.

        ``is_path``: whether they are written as a path (``a::b::``).
        """
        found: list[Found] = []
        for module in self._modules(steps, is_path):
            found += [(module, each) for each in module.definitions if each.is_named]
            for inner in module.imports[:_MAX_INCLUDES]:
                for source in _sources(inner, module.path, module.language_id, self._index):
                    if source.path == self._path:
                        continue
                    handed = source.definitions if inner.is_all else _named_in(source, inner.names)
                    found += [(source, each) for each in handed if each.is_named]
            if len(found) > _MAX_OF_MODULE:
                break
        return found[:_MAX_OF_MODULE]

    def _modules(self, steps: Sequence[str], is_path: bool) -> list[SourceText]:
        text = ".".join(steps)
        found = {source.path: source for each, source in self.imported if each.alias == text}
        for each, source in self.imported:  # ``from package import module``, ``use crate::module``
            if steps[-1] in each.names and steps[-1] not in source.by_name and _is_module(source.path, steps[-1]):
                found[source.path] = source
        if not found and is_path and grammar_of(self._language_id) == "rust":
            used = next((each for each in self._imports if steps[0] in each.names), None)
            written = Import("::".join([used.module, *steps] if used is not None else steps), (), True)
            found = {each.path: each for each in _sources(written, self._path, self._language_id, self._index)}
        return list(found.values())

    def siblings(self) -> list[SourceText]:
        """Some files beside this one, in the same language; those with the likest names first."""
        paths = sorted(self._index.files_in(posixpath.dirname(self._path)))
        here = bisect(paths, self._path)
        near = paths[max(here - _MAX_SIBLINGS, 0) : here + _MAX_SIBLINGS]
        sources = [source for each in near if each != self._path and (source := self._index.get(each)) is not None]
        same = [each for each in sources if is_same_family(each.language_id, self._language_id) and each.text]
        return sorted(same, key=lambda each: (-_num_common(self._path, each.path), each.path))

    def named(self, name: str) -> list[Found]:
        """Definitions that ``name`` may mean: of imported files, else of the package, else of any file."""
        imported = [source for each, source in self.imported if not each.names or name in each.names]
        for sources in (imported, self.package, [source for _, source in self.imported], self._at_large(name)):
            found = [
                (source, each) for source in sources if name in source.by_name for each in _all_of(source, name)
            ]
            if found:
                return list(dict.fromkeys(found)) if len(found) < 2 else _distinct(found)
        return []

    def types_behind(self, steps: Sequence[str], types: Sequence[str]) -> list[Found]:
        """Types whose members may stand behind ``steps``, whose last may be of one of ``types``."""
        name = steps[-1].removesuffix("()")
        found = [each for one in dict.fromkeys([name, *types]) for each in self._types_named(one)]
        if found or len(steps) < 2:
            return _distinct(found)
        # What the type of the step before says of a member with this name: its annotation, what it returns.
        for source, owner in self.types_behind(steps[:-1], self._hints.get(tuple(steps[:-1]), ())):
            texts = [each.text for each in owner.members if each.name == name]
            texts += [each.head for _, each in self.methods_of(owner.name, source) if each.name == name]
            for text in texts:
                said = identifiers_in(_said_type(text))
                found += [each for one in said[:4] if one != name for each in self._types_named(one)]
        return _distinct(found)

    def _types_named(self, name: str) -> list[Found]:
        """Types called ``name``; for a function those that its signature says it returns."""
        found = self.named(name)
        types = [each for each in found if _has_members(each[1]) or self.methods_of(name, each[0])]
        if types or not found:
            return types
        returned = [each for each in identifiers_in(_said_type(found[0][1].head)) if each != name]
        return [each for one in returned[:4] for each in self.named(one) if _has_members(each[1])]

    def methods_of(self, name: str, source: SourceText) -> list[Found]:
        """Methods of the type ``name`` of ``source`` that stand outside of it, there or in the same package."""
        sources = [source]
        if grammar_of(source.language_id) == "go":
            sources += package_sources(source.path, source.language_id, self._index)
        sources = [each for each in sources if each.path != self._path]
        return [(each, found) for each in sources for found in each.definitions if found.owner == name]

    def _at_large(self, name: str) -> list[SourceText]:
        """The few files, the nearest first, that define ``name``; none where there are many."""
        paths = [each for each in self._index.files_defining(name) if each != self._path]
        sources = [source for each in paths if (source := self._index.get(each)) is not None]
        sources = [each for each in sources if is_same_family(each.language_id, self._language_id)]
        if len(sources) > 2 * _MAX_AT_LARGE:
            return []
        here = self._path.split("/")
        return sorted(sources, key=lambda each: (-_num_common(here, each.path.split("/")), each.path))[
            :_MAX_AT_LARGE
        ]


def identifiers_in(text: str) -> list[str]:
    cleaned = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in text)
    return [each for each in cleaned.split() if each.isidentifier()]


def _said_type(text: str) -> str:
    """The part of a signature or an attribute that names its type: behind the parameters or the colon."""
    line = text.partition("\n")[0]
    if ")" in line and not line.rstrip().endswith(")"):
        return line[line.rfind(")") + 1 :]
    if ")" in line:
        return line if "=" in line else line[: line.find("(")]
    return line


def _has_members(definition: Definition) -> bool:
    """Whether it is a type; the members of a group of constants stand for themselves."""
    return bool(definition.members) and not all(each.name in definition.names for each in definition.members)


def _all_of(source: SourceText, name: str) -> Iterator[Definition]:
    """All that ``source`` calls ``name``: in Rust a type and its ``impl`` blocks."""
    return (each for each in source.definitions if name in each.names)


def _named_in(source: SourceText, names: Sequence[str]) -> list[Definition]:
    return list({id(each): each for name in names if (each := source.by_name.get(name)) is not None}.values())


def _distinct(found: Sequence[Found]) -> list[Found]:
    return list({(source.path, each.first_line): (source, each) for source, each in found}.values())


def _is_module(path: str, name: str) -> bool:
    directory, _, file = path.rpartition("/")
    return file.partition(".")[0] == name or (posixpath.basename(directory) == name and "." in file)


def _num_common(first: Sequence[str], second: Sequence[str]) -> int:
    return next((number for number, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), 0)


def imported_sources(
    imports: Sequence[Import], path: str, language_id: str, index: WorkspaceIndex
) -> list[tuple[Import, SourceText]]:
    """The indexed files that ``imports`` of the file at ``path`` lead to, also through one file that hands on."""
    found: dict[tuple[Import, str], SourceText] = {}
    for each in imports:
        for source in _sources(each, path, language_id, index):
            found[each, source.path] = source
            missing = tuple(name for name in each.names if name not in source.by_name)
            is_open = each.is_all and grammar_of(source.language_id) != "go"
            handed_on = [
                inner for inner in source.imports if inner.is_all or set(inner.names) & set(missing) or is_open
            ]
            for inner in handed_on[:_MAX_INCLUDES] if missing or is_open else ():
                wanted = Import(inner.module, missing, is_open, each.alias)
                behind = _sources(inner, source.path, language_id, index)
                found |= {
                    (wanted, one.path): one
                    for one in behind
                    if one.path != path and (is_open or one.by_name.keys() & set(missing))
                }
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
