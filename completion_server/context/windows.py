"""Pieces of other files as they stand: what was edited last, and what is like the text around the cursor.

Candidates are few and near: open documents, imported files, files of the same directory. What a file is cut into
is remembered until it changes.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field

from cachetools import LRUCache

from completion_server.context.files import MAX_FILE_BYTES, is_same_family
from completion_server.context.index import WorkspaceIndex
from completion_server.context.nearby import Piece, most_similar, names_before, pieces_of
from completion_server.context.uri import path_in
from completion_server.document import Document, Position, short_lines
from completion_server.request import WorkspaceView
from completion_server.secrets_filter import redact
from completion_server.snippet import Snippet, SnippetKind

_MAX_FILES = 8
_MAX_REMEMBERED = 64
_MIN_NAMES = 4
_MIN_LIKENESS = 0.2
_MAX_SIMILAR = 3
_EDIT_LINES = 6
_MAX_EDITS = 2
_MAX_LINE_CHARS = 200


@dataclass(frozen=True)
class Neighbours:
    """Where other files are: ``path`` is the document's own in ``index``, ``near`` those that it imports."""

    index: WorkspaceIndex | None = None
    path: str | None = None
    near: Sequence[str] = ()


@dataclass(frozen=True)
class _Candidate:
    path: str
    language_id: str
    lines: tuple[str, ...] = field(repr=False)
    stamp: object = None


class WindowFinder:
    """Finds windows; remembers how files were cut. Used by one thread."""

    def __init__(self) -> None:
        self._pieces: LRUCache[tuple[str, object], list[Piece]] = LRUCache(_MAX_REMEMBERED)

    def find(
        self,
        document: Document,
        position: Position,
        workspace: WorkspaceView,
        neighbours: Neighbours,
        max_chars: int,
    ) -> list[Snippet]:
        """Snippets in ``max_chars``, the latest edits first, then the most similar."""
        opened = [
            _Candidate(_path_of(each, neighbours.index), each.language_id, each.lines, (each.uri, each.version))
            for each in workspace.documents
            if is_same_family(each.language_id, document.language_id) and each.uri != document.uri
        ]
        opened = [each for each in opened if sum(map(len, each.lines)) <= MAX_FILE_BYTES][:_MAX_FILES]
        snippets = self._edited(opened, workspace, max_chars)
        room = max_chars - sum(len(snippet.text) for snippet in snippets)
        candidates = {each.path: each for each in [*opened, *_indexed(document, neighbours)]}
        taken = [(snippet.path, snippet.first_line, snippet.end_line) for snippet in snippets]
        return snippets + self._similar(document, position, list(candidates.values())[:_MAX_FILES], taken, room)

    def _edited(self, opened: Sequence[_Candidate], workspace: WorkspaceView, max_chars: int) -> list[Snippet]:
        by_uri = {each.stamp[0]: each for each in opened if isinstance(each.stamp, tuple)}
        snippets: list[Snippet] = []
        room = max_chars // 2
        for edit in workspace.recent_edits:
            candidate = by_uri.get(edit.uri)
            if candidate is None or len(snippets) == _MAX_EDITS:
                continue
            pieces = self._pieces_of(candidate)
            piece = next((each for each in pieces if each.first_line <= edit.line < each.end_line), None)
            if piece is None:
                continue
            first = max(piece.first_line, edit.line - _EDIT_LINES)
            end = min(piece.end_line, edit.line + _EDIT_LINES + 1)
            snippet = _snippet(candidate, first, end, SnippetKind.RECENT_EDIT)
            if snippet is not None and len(snippet.text) <= room:
                snippets.append(snippet)
                room -= len(snippet.text)
        return snippets

    def _similar(
        self,
        document: Document,
        position: Position,
        candidates: Sequence[_Candidate],
        taken: Sequence[tuple[str, int, int]],
        room: int,
    ) -> list[Snippet]:
        names = names_before(document, position)
        if len(names) < _MIN_NAMES:
            return []
        by_path = {each.path: each for each in candidates}
        pieces = {each.path: self._pieces_of(each) for each in candidates}
        snippets: list[Snippet] = []
        for _, path, piece in most_similar(names, pieces, _MIN_LIKENESS):
            if any(
                path == other and piece.first_line < end and first < piece.end_line for other, first, end in taken
            ):
                continue
            snippet = _snippet(by_path[path], piece.first_line, piece.end_line, SnippetKind.SIMILAR)
            if snippet is not None and len(snippet.text) <= room:
                snippets.append(snippet)
                room -= len(snippet.text)
            if len(snippets) == _MAX_SIMILAR:
                break
        return snippets

    def _pieces_of(self, candidate: _Candidate) -> list[Piece]:
        key = candidate.path, candidate.stamp
        pieces = self._pieces.get(key)
        if pieces is None:
            pieces = self._pieces[key] = pieces_of(candidate.lines)
        return pieces


def _indexed(document: Document, neighbours: Neighbours) -> list[_Candidate]:
    index, path = neighbours.index, neighbours.path
    if index is None or path is None:
        return []
    siblings = sorted(index.files_in(posixpath.dirname(path)))
    found = []
    for each in dict.fromkeys([*neighbours.near, *siblings]):
        source = None if each == path else index.get(each)
        if source is not None and source.text and is_same_family(source.language_id, document.language_id):
            lines = tuple(source.text.splitlines(keepends=True))
            found.append(_Candidate(each, source.language_id, lines, source.stamp))
        if len(found) == _MAX_FILES:
            break
    return found


def _snippet(candidate: _Candidate, first: int, end: int, kind: SnippetKind) -> Snippet | None:
    """Lines ``first`` to ``end`` without blank ones around, secrets and line ends of other systems."""
    lines = candidate.lines
    while first < end and not lines[first].strip():
        first += 1
    while end > first and not lines[end - 1].strip():
        end -= 1
    if first == end or max(map(len, lines[first:end])) > _MAX_LINE_CHARS:
        return None
    # As a whole: a key of several lines is only known by its first.
    before = "".join(short_lines(lines[max(first - 60, 0) : first]))
    text = redact(before + "".join(lines[first:end]))
    kept = text.splitlines(keepends=True)[-(end - first) :]
    text = "".join(line.rstrip() + "\n" for line in kept)
    return Snippet(candidate.path, candidate.language_id, first, end, kind, text)


def _path_of(document: Document, index: WorkspaceIndex | None) -> str:
    """Relative to the workspace; for documents outside of it only the name."""
    path = None if index is None else path_in(index.root, document.uri)
    return path or document.uri.rpartition("/")[2]
