"""The open documents, as the client describes them. Mutated on the event loop only.

Owns which text belongs to which URI and version. Knows nothing of requests, models or the disk: a document
that the client has not opened does not exist here. LSP 3.18, "Text Document Synchronization".
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Sequence

from lsprotocol import types

from completion_server.document import Document, LineBuffer, Position, PositionEncoding
from completion_server.request import RecentEdit, WorkspaceView

log = logging.getLogger(__name__)

MAX_OTHER_DOCUMENTS = 8
_MAX_RECENT_EDITS = 16
_SAME_EDIT_LINES = 8


class OpenDocument:
    """A text that is being edited, and its frozen copy at the current version."""

    def __init__(self, uri: str, language_id: str, version: int, text: str) -> None:
        self.uri = uri
        self.language_id = language_id
        self.version = version
        self._buffer = LineBuffer(text)
        self._snapshot: Document | None = None
        self.last_asked_at: Position | None = None
        """Where a completion was last asked for: the best guess at the cursor that LSP allows."""

    def apply(
        self,
        changes: Sequence[types.TextDocumentContentChangeEvent],
        version: int,
        encoding: PositionEncoding,
    ) -> int | None:
        """Apply ``changes`` in order; each is in terms of the text that the one before it left.

        Returns the line of the last one, None where the whole text was replaced.
        """
        last_line = None
        self._snapshot = None
        self.version = version
        for change in changes:
            if isinstance(change, types.TextDocumentContentChangePartial):
                start, end = change.range.start, change.range.end
                begin = self._buffer.position_from_client(start.line, start.character, encoding)
                is_insertion = end == start
                self._buffer.replace(
                    begin,
                    begin
                    if is_insertion
                    else self._buffer.position_from_client(end.line, end.character, encoding),
                    change.text,
                )
                last_line = start.line
            else:
                self._buffer = LineBuffer(change.text)
                last_line = None
        return last_line

    def snapshot(self) -> Document:
        """The text at this version; made once per version."""
        if self._snapshot is None:
            lines = self._buffer.snapshot_lines()
            self._snapshot = Document(self.uri, self.language_id, self.version, lines)
        return self._snapshot

    def describe(self) -> dict[str, object]:
        """URI, version and SHA-256 of the text in UTF-8, with which a client can compare its own buffer."""
        text = self._buffer.text.encode("utf-8", "surrogatepass")
        return {
            "uri": self.uri,
            "languageId": self.language_id,
            "version": self.version,
            "numLines": self._buffer.num_lines,
            "sha256": hashlib.sha256(text).hexdigest(),
        }


class DocumentStore:
    """URI -> open document, least recently used first."""

    def __init__(self, encoding: PositionEncoding = PositionEncoding.UTF16) -> None:
        self.encoding = encoding
        self._documents: dict[str, OpenDocument] = {}
        self._complained_about: set[str] = set()
        self._recent_edits: deque[RecentEdit] = deque(maxlen=_MAX_RECENT_EDITS)

    def __len__(self) -> int:
        return len(self._documents)

    def __contains__(self, uri: str) -> bool:
        return uri in self._documents

    def open(self, item: types.TextDocumentItem) -> None:
        """Take over a document; one that was open already is replaced."""
        self._documents.pop(item.uri, None)
        self._documents[item.uri] = OpenDocument(item.uri, item.language_id, item.version, item.text)
        self._complained_about.discard(item.uri)

    def change(self, uri: str, version: int, changes: Sequence[types.TextDocumentContentChangeEvent]) -> bool:
        """Apply an edit; False (and logged once per document) for a document that is not open.

        A version that does not grow is a fault of the client, logged once; the edit itself still counts, since
        leaving it out would put both texts apart for good.
        """
        document = self._documents.get(uri)
        if document is None:
            self._complain(uri, "a change for a document that is not open is ignored")
            return False
        if version <= document.version:
            self._complain(uri, f"version {version} came after version {document.version}")
        line = document.apply(changes, version, self.encoding)
        if line is not None:
            self._remember_edit(RecentEdit(uri, line))
        self._touch(uri)
        return True

    def close(self, uri: str) -> None:
        """Forget a document."""
        self._documents.pop(uri, None)
        self._complained_about.discard(uri)

    @property
    def last_used_uri(self) -> str | None:
        return next(reversed(self._documents), None)

    def snapshot(self, uri: str) -> Document | None:
        """The document's text now, or None when it is not open. Counts as use of the document."""
        document = self._documents.get(uri)
        if document is None:
            return None
        self._touch(uri)
        return document.snapshot()

    def peek(self, uri: str) -> Document | None:
        """The document's text now, or None when it is not open; does not count as use."""
        document = self._documents.get(uri)
        return None if document is None else document.snapshot()

    def note_asked(self, uri: str, position: Position) -> None:
        """A completion was asked for at ``position``."""
        if (document := self._documents.get(uri)) is not None:
            document.last_asked_at = position

    def last_asked_at(self, uri: str) -> Position | None:
        """Where that was last, in an open document."""
        document = self._documents.get(uri)
        return None if document is None else document.last_asked_at

    def view(self, uri: str, root_uri: str | None = None) -> WorkspaceView:
        """The most recently used documents apart from ``uri``, at most MAX_OTHER_DOCUMENTS."""
        others: list[Document] = []
        for document in reversed(self._documents.values()):
            if len(others) == MAX_OTHER_DOCUMENTS:
                break
            if document.uri != uri:
                others.append(document.snapshot())
        known = {document.uri for document in others}
        edits = tuple(edit for edit in self._recent_edits if edit.uri in known)
        return WorkspaceView(tuple(others), root_uri, edits)

    def describe(self) -> list[dict[str, object]]:
        """All open documents, least recently used first, for comparison with the client's buffers."""
        return [document.describe() for document in self._documents.values()]

    def _remember_edit(self, edit: RecentEdit) -> None:
        """Latest first. Going on where the last edit was makes no second one."""
        last = self._recent_edits[0] if self._recent_edits else None
        if last is not None and last.uri == edit.uri and abs(last.line - edit.line) <= _SAME_EDIT_LINES:
            self._recent_edits.popleft()
        self._recent_edits.appendleft(edit)

    def _touch(self, uri: str) -> None:
        self._documents[uri] = self._documents.pop(uri)

    def _complain(self, uri: str, problem: str) -> None:
        if uri not in self._complained_about:
            self._complained_about.add(uri)
            log.warning("%s: %s", uri, problem)
