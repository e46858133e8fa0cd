"""The last completions, by the exact text around the cursor; also answers when the user types along one.

The key holds the text before and after the cursor as it is: white space counts, and the suffix counts. Only text
and positions; knows nothing of models.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from cachetools import LRUCache

from completion_server.document import Document, Position
from completion_server.evidence import NO_EVIDENCE, Evidence
from completion_server.request import Insertion

_LINES_BEFORE = 40
_LINES_AFTER = 20
_MAX_CHARS = 8000
_MAX_RECENT = 6  # per document


@dataclass(frozen=True)
class _Place:
    """Text before and after a cursor. Two equal places get the same completion."""

    uri: str
    before: str
    after: str


@dataclass(frozen=True)
class _Entry:
    place: _Place
    insertions: tuple[Insertion, ...]
    evidence: Evidence = NO_EVIDENCE
    is_shown: bool = True


@dataclass(frozen=True)
class Known:
    """What is known for a place, best first."""

    insertions: tuple[Insertion, ...]
    evidence: Evidence = NO_EVIDENCE
    """Of the first."""
    was_shown: bool = True
    """The suggestion that this is, or was the beginning of, was good enough to show where it was made."""


class CompletionCache:
    """Up to ``max_entries`` places and what was suggested there.

    The model thread writes, the event loop looks answers up as well; drafts are the model thread's alone.
    """

    def __init__(self, max_entries: int) -> None:
        self._entries: LRUCache[_Place, _Entry] = LRUCache(max(max_entries, 1))
        self._is_off = max_entries == 0
        self._lock = threading.Lock()
        self._nothing: LRUCache[_Place, bool] = LRUCache(max(max_entries, 1))
        self._recent: dict[str, deque[_Entry]] = {}
        self._drafts: dict[str, deque[_Entry]] = {}

    def store(
        self,
        document: Document,
        position: Position,
        insertions: tuple[Insertion, ...],
        evidence: Evidence = NO_EVIDENCE,
        *,
        is_shown: bool = True,
    ) -> None:
        """Remember ``insertions`` (at least one, none empty) for this place, with the first one's ``evidence``.

        What is not shown is remembered too: nobody asks the model twice for what would be hidden again.
        """
        if self._is_off or not insertions:
            return
        place = _place(document, position)
        entry = _Entry(place, insertions, evidence, is_shown)
        with self._lock:
            self._entries[place] = entry
            _remember(self._recent, entry)

    def store_nothing(self, document: Document, position: Position) -> None:
        """Remember that the model, asked in full, had nothing to suggest here."""
        if not self._is_off:
            place = _place(document, position)
            with self._lock:
                self._nothing[place] = True

    def holds_nothing(self, document: Document, position: Position) -> bool:
        """Whether it is known that there is nothing to suggest at this very place."""
        place = _place(document, position)
        with self._lock:
            return place in self._nothing

    def lookup(self, document: Document, position: Position, num_items: int) -> Known | None:
        """What is known for this very place, or left of a recent suggestion that the user is typing along."""
        place = _place(document, position)
        with self._lock:
            entry: _Entry | None = self._entries.get(place)
            recent = tuple(self._recent.get(document.uri, ()))
        if entry is not None and len(entry.insertions) >= num_items:
            return Known(entry.insertions[:num_items], entry.evidence, entry.is_shown)
        typed_along = (_type_through(earlier, place) for earlier in recent)
        return next((known for known in typed_along if known is not None), None)

    def store_draft(self, document: Document, position: Position, text: str) -> None:
        """Remember what the model wrote here, whole or not; a guess for the next request, never an answer."""
        known = self.lookup_draft(document, position)
        if text and not self._is_off:
            # A generation cut off early says less than the guess that it has confirmed so far.
            text = known if known.startswith(text) else text
            _remember(self._drafts, _Entry(_place(document, position), (Insertion(text),)))

    def lookup_draft(self, document: Document, position: Position) -> str:
        """What is left of the last generation here after what was typed since; empty when it was left."""
        place = _place(document, position)
        for entry in self._drafts.get(document.uri, ()):
            if place.before.startswith(entry.place.before):
                typed = place.before[len(entry.place.before) :]
                text = entry.insertions[0].text
                if text.startswith(typed) and len(typed) < len(text):
                    return text[len(typed) :]
        return ""

    def forget(self, uri: str) -> None:
        """Drop everything that holds text of a document that was closed."""
        with self._lock:
            self._recent.pop(uri, None)
            for places in (self._entries, self._nothing):
                for place in [each for each in places if each.uri == uri]:
                    del places[place]
        self._drafts.pop(uri, None)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._nothing.clear()
            self._recent.clear()
        self._drafts.clear()


def _remember(recent: dict[str, deque[_Entry]], entry: _Entry) -> None:
    """Newest first. More than one, as suggestions for places further on are prepared before they are reached."""
    recent.setdefault(entry.place.uri, deque(maxlen=_MAX_RECENT)).appendleft(entry)


def _type_through(entry: _Entry, place: _Place) -> Known | None:
    """What remains of ``entry``'s first text when exactly its beginning was typed; None when it was not.

    Typing inside a line moves no window line, so the new text before the cursor starts with the old one. Editors
    take away what is typed over of the closers that the suggestion replaces.
    """
    if not place.before.startswith(entry.place.before):
        return None
    typed = place.before[len(entry.place.before) :]
    first = entry.insertions[0]
    num_gone = _num_typed_over(entry, place)
    if num_gone is None or not typed or not first.text.startswith(typed) or len(typed) == len(first.text):
        return None
    rest = first.text[len(typed) :]
    if not _is_subsequence(entry.place.after[num_gone : first.num_replaced], rest):
        return None
    return Known(
        (Insertion(rest, first.num_replaced - num_gone),), entry.evidence.after(len(typed)), entry.is_shown
    )


def _num_typed_over(entry: _Entry, place: _Place) -> int | None:
    """How many of the characters that ``entry`` replaces are gone; None where other text has changed."""
    before = entry.place.after
    for count in range(entry.insertions[0].num_replaced + 1):
        rest = before[count:]
        # At the end of a window that is cut other text comes in.
        if place.after == rest or (count and len(before) == _MAX_CHARS and place.after.startswith(rest)):
            return count
    return None


def _is_subsequence(part: str, text: str) -> bool:
    rest = iter(text)
    return all(char in rest for char in part)


def _place(document: Document, position: Position) -> _Place:
    # The window starts at a multiple of its size, so typing within it only adds at its end.
    first_line = max(position.line // _LINES_BEFORE - 1, 0) * _LINES_BEFORE
    before = document.text_before(position, first_line)
    after = document.text_after(position, position.line + 1 + _LINES_AFTER)
    return _Place(
        document.uri, before[-_MAX_CHARS:] if len(before) > 2 * _MAX_CHARS else before, after[:_MAX_CHARS]
    )
