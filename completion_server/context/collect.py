"""From a place in a document to the snippets of other files that its prompt shows, the same from key to key.

A selection is made once for a document and kept while the cursor stays near: the snippets stand in front of the
prompt, and another selection means that all of it is read anew. A better one is looked for at idle (``propose``)
and put to use (``adopt``) when the prompt with it has been read. Nothing here waits, or reads files but the ignore
files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from cachetools import LRUCache

from completion_server.context.background import BackgroundWork
from completion_server.context.definitions import definition_snippets
from completion_server.context.exclusions import Exclusions
from completion_server.context.files import head_of
from completion_server.context.imports import Import, find_imports
from completion_server.context.index import IndexLimits, WorkspaceIndex
from completion_server.context.place import look_at, types_of
from completion_server.context.reach import Reach
from completion_server.context.uri import path_in, path_of_uri
from completion_server.context.windows import Neighbours, WindowFinder
from completion_server.document import Document, Position
from completion_server.request import WorkspaceView
from completion_server.snippet import CrossFileContext, DocumentPlace, Snippet

_CHARS_PER_TOKEN = 3  # a low guess for code: what is below fits
_NEAR_LINES = 40
_WORTH_A_MOVE_LINES = 20
_MAX_SELECTIONS = 64
_MAX_ROOTS = 4
_MIN_WINDOW_CHARS = 160


@dataclass(frozen=True)
class _Selection:
    """What was chosen for a document, and what it was chosen for. ``anchor_line`` None: all of the document."""

    context: CrossFileContext
    anchor_line: int | None
    imports: tuple[Import, ...]
    explained_names: frozenset[str]
    max_tokens: int


class ContextCollector:
    """Indexes of up to four workspaces and the selection of each document.

    ``known_reason_to_skip`` and ``note_changes`` may be called from any thread, the rest by the model thread.
    """

    def __init__(
        self,
        limits: IndexLimits | None = None,
        *,
        runs_in_background: bool = True,
        make_index: Callable[[Path], WorkspaceIndex] | None = None,
    ) -> None:
        """Without the background nothing is indexed but by ``work``, which tests and measurements call.

        ``make_index`` makes the index of a root in place of one of the files on this disk.
        """
        self._make_index = make_index or (lambda root: WorkspaceIndex(root, limits))
        self._indexes: dict[Path, WorkspaceIndex] = {}
        self._exclusions = Exclusions()
        self._lock = threading.Lock()
        self._selections: LRUCache[str, _Selection] = LRUCache(_MAX_SELECTIONS)
        self._proposals: LRUCache[str, _Selection] = LRUCache(_MAX_SELECTIONS)
        self._windows = WindowFinder()
        self._runs_in_background = runs_in_background
        self._background = BackgroundWork(self.work)

    def reason_to_skip(self, document: Document, workspace: WorkspaceView) -> str | None:
        """Why this document gets no completions whatever is asked; None: it does."""
        return self._exclusions.reason_for(document.uri, workspace.root_uri)

    def known_reason_to_skip(self, uri: str) -> str | None:
        """What ``reason_to_skip`` found last, without reading files. Raises LookupError where it found nothing."""
        return self._exclusions.known_reason_for(uri)

    def collect(
        self, document: Document, position: Position, workspace: WorkspaceView, max_tokens: int
    ) -> CrossFileContext:
        """The snippets for ``position``, best first, in roughly ``max_tokens``; at most a few milliseconds."""
        self._note(document, workspace)
        known = self._selections.get(document.uri)
        if known is not None and known.max_tokens == max_tokens and _is_near(known, position):
            return known.context
        selection = self._select(document, position, workspace, max_tokens)
        self._keep(document.uri, selection)
        return selection.context

    def collect_for_all(self, document: Document, workspace: WorkspaceView, max_tokens: int) -> CrossFileContext:
        """The same for a document that is about to be read whole; kept wherever the cursor then appears."""
        self._note(document, workspace)
        known = self._selections.get(document.uri)
        if known is not None and known.max_tokens == max_tokens:
            return known.context
        top = Position(min(len(document.lines) - 1, 40), 0)
        selection = self._select(document, top, workspace, max_tokens)
        self._keep(document.uri, replace(selection, anchor_line=None))
        return selection.context

    def propose(
        self, document: Document, position: Position, workspace: WorkspaceView, max_tokens: int
    ) -> CrossFileContext | None:
        """A selection that is worth reading the whole prompt anew for; None while the present one will do."""
        known = self._selections.get(document.uri)
        selection = self._select(document, position, workspace, max_tokens)
        if known is None or selection.context == known.context:
            self._keep(document.uri, selection)
            return None
        if not _is_worth_it(known, selection):
            return None
        self._proposals[document.uri] = selection
        return selection.context

    def adopt(self, uri: str) -> None:
        """From now on what was proposed last for ``uri`` is what ``collect`` returns."""
        selection = self._proposals.pop(uri, None)
        if selection is not None:
            self._keep(uri, selection)

    def note_changes(self, uris: Sequence[str]) -> None:
        """Files that were created, changed, deleted, or closed in the editor."""
        self._exclusions.note_changes(uris)
        files = [file for file in map(path_of_uri, uris) if file is not None]
        with self._lock:
            indexes = list(self._indexes.values())
        for index in indexes:
            for file in files:
                if file != index.root and file.is_relative_to(index.root):
                    index.note_change(file.relative_to(index.root).as_posix())
        if files and indexes and self._runs_in_background:
            self._background.wake()

    def held_back(self) -> AbstractContextManager[None]:
        """Inside of this block no file is looked at in the background."""
        return self._background.held_back()

    def work(self) -> bool:
        """Look at one file or directory of any workspace; False when all is done."""
        with self._lock:
            indexes = list(self._indexes.values())
        return any(index.work() for index in indexes)

    def forget(self, uri: str) -> None:
        """The document was closed: keep nothing of it."""
        self._selections.pop(uri, None)
        self._proposals.pop(uri, None)
        self._exclusions.forget(uri)

    def clear(self) -> None:
        """Forget the selections; what is known of the files stays."""
        self._selections.clear()
        self._proposals.clear()

    def close(self) -> None:
        """End the background's thread."""
        self._background.stop()

    def status(self) -> dict[str, object]:
        with self._lock:
            indexes = list(self._indexes.values())
        return {
            "num_indexed_files": sum(index.num_files for index in indexes),
            "num_indexed_chars": sum(index.num_text_chars for index in indexes),
        }

    def _keep(self, uri: str, selection: _Selection) -> None:
        self._selections[uri] = selection

    def _index_of(self, workspace: WorkspaceView) -> WorkspaceIndex | None:
        root = path_of_uri(workspace.root_uri or "")
        if root is None or root == Path(root.anchor) or root == Path.home():
            return None  # a whole disk or home directory is no project
        with self._lock:
            index = self._indexes.get(root)
            if index is None:
                if len(self._indexes) >= _MAX_ROOTS:
                    del self._indexes[next(iter(self._indexes))]
                index = self._indexes[root] = self._make_index(root)
            return index

    def _note(self, document: Document, workspace: WorkspaceView) -> None:
        """Let the index know what is open; it looks when there is time."""
        index = self._index_of(workspace)
        if index is None:
            return
        index.note_use()
        for each in (document, *workspace.documents):
            path = path_in(index.root, each.uri)
            # The document itself is only of interest to others, later: not with every key.
            if path is not None and each is not document:
                index.note_document(path, each)
        if self._runs_in_background:
            self._background.wake()

    def _select(
        self, document: Document, position: Position, workspace: WorkspaceView, max_tokens: int
    ) -> _Selection:
        index = self._index_of(workspace)
        path = None if index is None else path_in(index.root, document.uri)
        max_chars = max_tokens * _CHARS_PER_TOKEN
        imports = find_imports(head_of(document.lines), document.language_id)
        snippets: list[Snippet] = []
        explained: frozenset[str] = frozenset()
        near: list[str] = []
        if index is not None and path is not None and max_chars:
            place = look_at(document, position)
            steps = {each.steps[:end] for each in place.qualifiers for end in range(1, len(each.steps) + 1)}
            hints = {each: types_of(each, document, position) for each in sorted(steps)}
            reach = Reach(imports, path, document.language_id, index, hints)
            snippets, explained = definition_snippets(reach, place, hints, max_chars)
            near = list(dict.fromkeys(source.path for _, source in reach.imported))
        room = max_chars - sum(len(snippet.text) for snippet in snippets)
        if room >= _MIN_WINDOW_CHARS:
            allowed = replace(workspace, documents=self._readable(workspace))
            snippets += self._windows.find(document, position, allowed, Neighbours(index, path, near), room)
        repository = "" if index is None else index.root.name
        name = path or document.uri.rpartition("/")[2]
        context = CrossFileContext(tuple(snippets), DocumentPlace(name, repository))
        return _Selection(context, position.line, imports, explained, max_tokens)

    def _readable(self, workspace: WorkspaceView) -> tuple[Document, ...]:
        return tuple(each for each in workspace.documents if self.reason_to_skip(each, workspace) is None)


def _is_near(selection: _Selection, position: Position) -> bool:
    return selection.anchor_line is None or abs(selection.anchor_line - position.line) <= _NEAR_LINES


def _is_worth_it(known: _Selection, other: _Selection) -> bool:
    """Whether ``other`` explains a name or an import that ``known`` does not, or is for another part of it."""
    if not known.context.snippets or known.imports != other.imports or known.anchor_line is None:
        return True
    moved = other.anchor_line is not None and abs(known.anchor_line - other.anchor_line) > _WORTH_A_MOVE_LINES
    return moved or not other.explained_names <= known.explained_names
