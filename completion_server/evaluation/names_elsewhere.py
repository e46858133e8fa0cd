"""Names on a line that only another file of the repository explains: what snippets have to show for it.

Found by names alone, not by the imports and types that serving follows, so that what serving cannot follow counts
as missed. A name counts where few other files define it and the file itself does not, at its top level, in a class
or as a variable; and where few other repositories use it, or every ``len`` would be taken for one of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from completion_server.context.files import SourceText, is_same_family
from completion_server.context.index import WorkspaceIndex

_NAME = re.compile(r"(?<!\w)[^\W\d]\w{2,}")
_MAX_DEFINING_FILES = 3
_MAX_OTHER_REPOSITORIES = 2
_MEMBER_MARKS = (".", "->", "::")
_DECLARED = re.compile(
    r"\b(?:let|const|var|mut|for|def|class|struct|fn|func|enum|static|auto|int|char)\s+[*&]?(\w+)"
    r"|(?<!\bcase )\b(\w+)(?:\s*:?=(?!=)|:(?![:\s]*\n|:))"
)
_DECLARED_AS = re.compile(r"\bas\s+(\w+)")
_DECLARED_AFTER_TYPE = re.compile(
    r"\b(?!return|else|new|case|goto|throw|delete|import)\w+[\w>\]]*[\s*&]+(\w+)\s*[;,=)\[]"
)
_TYPE_COMES_FIRST = frozenset({"c", "cpp", "java"})


class NamesElsewhere:
    """What the files of one workspace define, by name."""

    def __init__(self, index: WorkspaceIndex, paths: Sequence[str], common: Collection[str] = ()) -> None:
        """``common``: names that say nothing about a repository, see ``common_names``."""
        self._index = index
        self._common = common
        self._top: dict[str, set[str]] = {}
        self._members: dict[str, set[str]] = {}
        for path in paths:
            source = index.get(path)
            for definition in source.definitions if source is not None else ():
                for name in definition.names:
                    self._top.setdefault(name, set()).add(path)
                for member in definition.members:
                    self._members.setdefault(member.name, set()).add(path)

    def in_line(
        self, line: str, start: int, source: SourceText, declared: frozenset[str]
    ) -> Iterator[re.Match[str]]:
        """Matches in ``line`` from ``start`` on, of names that only other files define.

        ``declared`` are those that the file of ``source`` declares, see ``declared_names``.
        """
        for match in _NAME.finditer(line, start):
            name = match[0]
            is_member = line[: match.start()].endswith(_MEMBER_MARKS)
            places = self._top.get(name, set()) | (self._members.get(name, set()) if is_member else set())
            is_elsewhere = 0 < len(places) <= _MAX_DEFINING_FILES and source.path not in places
            if not is_elsewhere or name in source.by_name or name in declared or name in self._common:
                continue
            if any(self._is_like(path, source.language_id) for path in places):
                yield match

    def _is_like(self, path: str, language_id: str) -> bool:
        other = self._index.get(path)
        return other is not None and is_same_family(other.language_id, language_id)


def common_names(texts: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Names that more than a few repositories use; ``texts`` are (repository, text of a file)."""
    users: dict[str, set[str]] = {}
    for repository, text in texts:
        for name in set(_NAME.findall(text)):
            users.setdefault(name, set()).add(repository)
    return frozenset(name for name, group in users.items() if len(group) > 1 + _MAX_OTHER_REPOSITORIES)


def declared_names(text: str, source: SourceText) -> frozenset[str]:
    """What a file declares itself: variables, parameters, fields, keywords of calls; rather too much."""
    found = {name for groups in _DECLARED.findall(text) for name in groups if name}
    if source.language_id == "python":
        found |= set(_DECLARED_AS.findall(text))
    if source.language_id in _TYPE_COMES_FIRST:
        found |= set(_DECLARED_AFTER_TYPE.findall(text))
    return frozenset(found | {member.name for each in source.definitions for member in each.members})
