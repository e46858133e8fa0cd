"""Which documents get no completions and appear in no prompt.

``reason_for`` reads ignore files, so it belongs on a thread that may wait for a disk. ``known_reason_for`` repeats
what was found last, for the event loop.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

from cachetools import LRUCache

from completion_server.context.ignore import COMPLETION_IGNORE, IgnoreRules
from completion_server.context.uri import path_named_by
from completion_server.secrets_filter import is_secret_file

_AFTER_NAME = re.compile(r"[?#]")
_MAX_ROOTS = 16
_MAX_LEVELS = 200  # deeper than any file that this machine can have an ignore file for
_MAX_VERDICTS = 4096
_KNOWN_SECONDS = 30.0


class Exclusions:
    """The rules of the workspaces and folders in use, and the verdict on each document. For any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reading = threading.Lock()
        """Held while files are read, which may take long."""
        self._rules: LRUCache[tuple[Path, bool], IgnoreRules] = LRUCache(_MAX_ROOTS)
        self._lock = threading.Lock()
        self._verdicts: LRUCache[str, tuple[float, str | None]] = LRUCache(_MAX_VERDICTS)

    def reason_for(self, uri: str, root_uri: str | None) -> str | None:
        """Why the document ``uri`` is excluded, None when it is not. ``root_uri`` is its workspace folder."""
        with self._reading:
            reason = self._look_up(uri, root_uri)
        with self._lock:
            self._verdicts[uri] = self._clock(), reason
        return reason

    def known_reason_for(self, uri: str) -> str | None:
        """The same without reading anything. Raises LookupError where nothing was found lately."""
        with self._lock:
            found_at, reason = self._verdicts[uri]
        if self._clock() - found_at > _KNOWN_SECONDS:
            raise LookupError(uri)
        return reason

    def note_changes(self, uris: Sequence[str]) -> None:
        """Files changed on disk; a changed ignore file may exclude other documents."""
        if any(uri.endswith(COMPLETION_IGNORE) for uri in uris):
            with self._lock:
                self._verdicts.clear()

    def forget(self, uri: str) -> None:
        """The document was closed."""
        with self._lock:
            self._verdicts.pop(uri, None)

    def _look_up(self, uri: str, root_uri: str | None) -> str | None:
        file = path_named_by(uri)
        if file is None or len(file.parts) > _MAX_LEVELS:
            name = unquote(_AFTER_NAME.split(uri, maxsplit=1)[0].replace(":", "/").rpartition("/")[2])
            return f"{name} is a kind of file that holds secrets" if is_secret_file(name) else None
        root = path_named_by(root_uri or "")
        is_inside = root is not None and file.is_relative_to(root)
        folder = root if is_inside and root is not None else file.parent
        rules = self._rules.get((folder, is_inside))
        if rules is None:
            rules = self._rules[folder, is_inside] = IgnoreRules(folder, is_workspace=is_inside)
        return rules.reason_for_document(file.relative_to(folder).as_posix())
