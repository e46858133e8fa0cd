"""Snippets for places in training files: what the server would show there, the repository being the workspace.

The choice is ``context.collect``'s. Only the index differs: it knows paths and names of a repository at once and
reads a file again when it is asked for, because examples come from all repositories in turn. What is kept are
caches of bounded size, so the answer for a place never depends on what was asked before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cachetools import LRUCache

from completion_server.context.collect import ContextCollector
from completion_server.context.files import MAX_FILE_BYTES, SourceText, language_of, source_of_text
from completion_server.context.ignore import is_skipped_directory
from completion_server.context.index import IndexLimits, WorkspaceIndex
from completion_server.evaluation.fim_spans import Hole, Span, cut_hole
from completion_server.evaluation.held_out import SourceFile
from completion_server.request import WorkspaceView
from completion_server.secrets_filter import is_secret_file
from completion_server.snippet import CrossFileContext

_Sources = LRUCache[tuple[Path, str], SourceText | None]


@dataclass(frozen=True)
class ContextLimits:
    """``max_files``: of one repository, those nearest to its root; the others bound memory."""

    max_files: int = IndexLimits().max_files
    max_repositories: int = 512
    """Whose paths and names are kept: making them again takes some 8 ms a file."""
    max_sources: int = 2_000
    """Files whose outlines are kept, of all repositories."""


class RepositoryIndex(WorkspaceIndex):
    """The files of one repository of a corpus; never looks at the disk."""

    def __init__(self, root: Path, files: Sequence[SourceFile], sources: _Sources) -> None:
        """``sources`` remembers what was read; it may be shared with other repositories."""
        super().__init__(root)
        self._texts: dict[str, str] = {}
        self._sources = sources
        for file in files:
            if language_of(file.path) is not None:
                self._texts[file.path] = file.text
                # Its names and its package's go into the look-ups; the rest is read when asked for.
                self._put(file.path, self.get(file.path))
                self._files[file.path] = SourceText(file.path, "", (), "")

    def get(self, path: str) -> SourceText | None:
        language_id = language_of(path)
        if language_id is None or path not in self._texts:
            return None
        key = self.root, path
        if key not in self._sources:
            # The stamp names the repository as well: the collector tells files of one path apart by it.
            self._sources[key] = source_of_text(self._texts[path], path, language_id, ("corpus", str(self.root)))
        return self._sources[key]

    def work(self) -> bool:
        """Everything is known."""
        return False


class RepositoryContext:
    """The repositories of some files. For one thread."""

    def __init__(self, files: Sequence[SourceFile], limits: ContextLimits | None = None) -> None:
        self._limits = limits or ContextLimits()
        self._files: dict[str, list[SourceFile]] = {}
        for file in files:
            self._files.setdefault(file.repository, []).append(file)
        self._roots = {name: _root_of(number, name) for number, name in enumerate(self._files)}
        self._names: Mapping[Path, str] = {root: name for name, root in self._roots.items()}
        self._indexes: LRUCache[str, RepositoryIndex] = LRUCache(self._limits.max_repositories)
        self._sources: _Sources = LRUCache(self._limits.max_sources)
        self._collector = ContextCollector(
            runs_in_background=False, make_index=lambda root: self.index_of(self._names[root])
        )

    def index_of(self, repository: str) -> RepositoryIndex:
        """What is known of ``repository``; KeyError for one that no file is of."""
        index = self._indexes.get(repository)
        if index is None:
            known = sorted(
                (file for file in self._files[repository] if _is_read(file)),
                key=lambda file: (file.path.count("/"), file.path),
            )
            index = RepositoryIndex(self._roots[repository], known[: self._limits.max_files], self._sources)
            self._indexes[repository] = index
        return index

    def hole(self, file: SourceFile, span: Span) -> Hole:
        """``span`` cut out of ``file``, in a document that is called as the editor would call it."""
        uri = (self._roots[file.repository] / file.path).as_uri()
        return cut_hole(file.text, span, uri=uri, language_id=language_of(file.path) or "")

    def snippets(self, file: SourceFile, hole: Hole, max_tokens: int) -> CrossFileContext:
        """The snippets for ``hole`` (of ``file``, made by ``hole``), in roughly ``max_tokens``."""
        if not hole.document.language_id:
            return CrossFileContext()
        self._collector.clear()
        view = WorkspaceView((), self._roots[file.repository].as_uri())
        context = self._collector.collect(hole.document, hole.position, view, max_tokens)
        # The file as it is indexed holds the middle; to the user of an editor it is not written yet.
        others = tuple(each for each in context.snippets if each.path != file.path)
        return replace(context, snippets=others)


def _root_of(number: int, repository: str) -> Path:
    """A directory that need not exist: its own for every repository, called as the repository is."""
    name = repository.replace(":", "/").rstrip("/").rpartition("/")[2] or "repository"
    return Path(Path.cwd().anchor, "corpus", str(number), name)


def _is_read(file: SourceFile) -> bool:
    """Whether the server looks at such a file of a workspace; ignore files are no part of a corpus."""
    *directories, name = file.path.split("/")
    is_hidden = is_secret_file(name) or any(is_skipped_directory(each) for each in directories)
    if is_hidden or language_of(name) is None:
        return False
    return len(file.text.encode("utf-8", "replace")) <= MAX_FILE_BYTES
