"""What is known of a workspace's files, built little by little and bounded; looking things up never waits.

``work`` does one small piece and is called by one thread, at idle (``context.background``); everything else may be
called from any thread. Open documents stand in for their files.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from completion_server.context.files import SourceText, Stamp, read_source, source_of_document, stamp_of, walk
from completion_server.context.ignore import COMPLETION_IGNORE, GIT_IGNORE, IgnoreRules
from completion_server.document import Document

_RESCAN_SECONDS = 300.0
_MAX_WAITING = 10_000
_MAX_FILES_PER_NAME = 24


@dataclass(frozen=True)
class IndexLimits:
    """Files beyond ``max_files`` are not known; beyond ``max_text_chars`` only outlines are kept."""

    max_files: int = 5_000
    max_text_chars: int = 16_000_000


class WorkspaceIndex:
    """Files below ``root``, by paths relative to it with forward slashes."""

    def __init__(
        self, root: Path, limits: IndexLimits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.root = root
        self._limits = limits or IndexLimits()
        self._clock = clock
        self._rules = IgnoreRules(root, clock)
        self._lock = threading.Lock()
        self._files: dict[str, SourceText] = {}
        self._by_directory: dict[str, set[str]] = {}
        self._by_name: dict[str, set[str]] = {}
        self._directories_by_name: dict[str, set[str]] = {}
        self._by_definition: dict[str, tuple[str, ...]] = {}
        self._num_text_chars = 0
        self._changed: OrderedDict[str, Document | None] = OrderedDict()
        """Paths to look at again, and the open document that stands in for the file, if one does."""
        self._open_stamps: dict[str, Stamp] = {}
        self._scan: Iterator[tuple[str, Stamp] | None] | None = None
        self._seen: set[str] = set()
        self._is_asked_for = True
        self._scanned_at: float | None = None

    # Looking up

    def get(self, path: str) -> SourceText | None:
        with self._lock:
            return self._files.get(path)

    def has_file(self, path: str) -> bool:
        with self._lock:
            return path in self._files

    def files_in(self, directory: str) -> Collection[str]:
        with self._lock:
            return tuple(self._by_directory.get(directory, ()))

    def files_named(self, name: str) -> Collection[str]:
        with self._lock:
            return tuple(self._by_name.get(name, ()))

    def directories_named(self, name: str) -> Collection[str]:
        with self._lock:
            return tuple(self._directories_by_name.get(name, ()))

    def files_defining(self, name: str) -> Collection[str]:
        """Paths of files with ``name`` at their top level, a few dozen at most."""
        with self._lock:
            return self._by_definition.get(name, ())

    @property
    def num_files(self) -> int:
        with self._lock:
            return len(self._files)

    @property
    def num_text_chars(self) -> int:
        with self._lock:
            return self._num_text_chars

    # Telling what may have changed

    def note_use(self) -> None:
        """Somebody asked for something: files may be looked for again. Costs nothing."""
        self._is_asked_for = True

    def note_document(self, path: str, document: Document) -> None:
        """``document`` is open at ``path``; what it holds counts, and not what is on disk."""
        stamp = ("open", document.uri, document.version)
        with self._lock:
            if self._open_stamps.get(path) != stamp:
                self._open_stamps[path] = stamp
                self._wait_for(path, document)

    def note_change(self, path: str) -> None:
        """The file (or directory) at ``path`` was created, changed or deleted on disk, or closed in the editor."""
        with self._lock:
            self._open_stamps.pop(path, None)
            self._wait_for(path, None)
            if path.rpartition("/")[2] in {GIT_IGNORE, COMPLETION_IGNORE}:
                self._scanned_at = None

    def _wait_for(self, path: str, document: Document | None) -> None:
        self._changed[path] = document
        if len(self._changed) > _MAX_WAITING:  # more than is worth listing: look at everything again
            self._changed.popitem(last=False)
            self._scanned_at = None

    # Working

    def work(self) -> bool:
        """Look at one file or one directory; False when there is nothing to do. For one thread only."""
        with self._lock:
            change = self._changed.popitem(last=False) if self._changed else None
        if change is not None:
            self._look_at(*change)
            return True
        if self._scan is None and not self._begin_scan():
            return False
        assert self._scan is not None
        found = next(self._scan, False)
        if found is False:
            self._end_scan()
        elif isinstance(found, tuple):
            self._take(*found)
        return True

    def _begin_scan(self) -> bool:
        is_due = self._scanned_at is None or (
            self._is_asked_for and self._clock() - self._scanned_at >= _RESCAN_SECONDS
        )
        if is_due:
            self._is_asked_for = False
            self._scanned_at = self._clock()
            self._seen = set()
            self._scan = walk(self.root, self._rules, self._limits.max_files)
        return is_due

    def _end_scan(self) -> None:
        self._scan = None
        with self._lock:
            for path in self._files.keys() - self._seen - self._open_stamps.keys():
                self._remove(path)

    def _take(self, path: str, stamp: Stamp) -> None:
        self._seen.add(path)
        with self._lock:
            known = self._files.get(path)
            is_known = path in self._open_stamps or (known is not None and known.stamp == stamp)
        if not is_known:
            self._put(path, read_source(self.root / path, path, stamp))

    def _look_at(self, path: str, document: Document | None) -> None:
        if self._rules.is_hidden(path):
            self._put(path, None)
            return
        if document is not None:
            self._put(path, source_of_document(document, path))
            return
        stamp = stamp_of(self.root / path)
        if stamp is not None:
            self._seen.add(path)
            self._put(path, read_source(self.root / path, path, stamp))
            return
        with self._lock:
            gone = [each for each in self._files if each == path or each.startswith(path + "/")]
            for each in gone:
                self._remove(each)

    def _put(self, path: str, source: SourceText | None) -> None:
        with self._lock:
            self._remove(path)
            if source is None or len(self._files) >= self._limits.max_files:
                return
            if self._num_text_chars + len(source.text) > self._limits.max_text_chars:
                source = replace(source, text="")
            self._files[path] = source
            self._num_text_chars += len(source.text)
            directory, _, name = path.rpartition("/")
            self._by_directory.setdefault(directory, set()).add(path)
            self._by_name.setdefault(name, set()).add(path)
            for called in _names_of(directory, source):
                self._directories_by_name.setdefault(called, set()).add(directory)
            for defined in source.by_name:
                known = self._by_definition.get(defined, ())
                if len(known) < _MAX_FILES_PER_NAME:
                    self._by_definition[defined] = (*known, path)

    def _remove(self, path: str) -> None:
        source = self._files.pop(path, None)
        if source is None:
            return
        self._num_text_chars -= len(source.text)
        directory, _, name = path.rpartition("/")
        _discard(self._by_name, name, path)
        _discard(self._by_directory, directory, path)
        if directory not in self._by_directory:
            for called in _names_of(directory, source):
                _discard(self._directories_by_name, called, directory)
        for defined in source.by_name:
            known = tuple(each for each in self._by_definition.get(defined, ()) if each != path)
            if known:
                self._by_definition[defined] = known
            else:
                self._by_definition.pop(defined, None)


def _names_of(directory: str, source: SourceText) -> set[str]:
    """What ``directory`` is called: its last part, and what its Go package calls itself."""
    is_package = source.package not in {"", "main"} and not source.package.endswith("_test")
    return {directory.rpartition("/")[2], *([source.package] if is_package else [])}


def _discard(sets: dict[str, set[str]], key: str, value: str) -> None:
    group = sets.get(key)
    if group is not None:
        group.discard(value)
        if not group:
            del sets[key]
