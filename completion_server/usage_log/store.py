"""One row per suggestion in SQLite: numbers about it and what the user did. No source text, no file names."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from completion_server.errors import RequestError
from completion_server.usage_log.place import make_private

MAX_AGE_DAYS = 90
_BUSY_SECONDS = 2.0
_DAY_SECONDS = 86_400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS suggestion (
    key TEXT PRIMARY KEY, shown_at REAL NOT NULL, language TEXT NOT NULL, model TEXT NOT NULL,
    kind TEXT NOT NULL, score REAL, num_chars INTEGER NOT NULL, num_lines INTEGER NOT NULL,
    latency_ms REAL NOT NULL, is_confirmed INTEGER NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT 'open', num_accepted_chars INTEGER NOT NULL DEFAULT 0, num_kept_chars INTEGER
)
"""


@dataclass(frozen=True)
class ShownSuggestion:
    """What is kept of a suggestion when it is sent to the editor."""

    key: str
    shown_at: float
    """Seconds since 1970, UTC."""
    language: str
    model: str
    kind: str
    """"automatic" or "invoked"."""
    score: float | None
    """The gate's probability before the user's own shift."""
    num_chars: int
    num_lines: int
    latency_ms: float


def now() -> float:
    """Seconds since 1970, UTC."""
    return datetime.now(timezone.utc).timestamp()


class UsageStore:
    """A connection that writes; for one thread. All methods raise ``sqlite3.Error``."""

    def __init__(self, path: Path) -> None:
        """Create or open ``path`` and drop rows older than MAX_AGE_DAYS. Also raises OSError."""
        make_private(path)
        self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            with self._connection:
                self._connection.execute(_SCHEMA)
                oldest = now() - MAX_AGE_DAYS * _DAY_SECONDS
                self._connection.execute("DELETE FROM suggestion WHERE shown_at < ?", (oldest,))
        except sqlite3.Error:
            self._connection.close()
            raise

    def add(self, shown: ShownSuggestion) -> None:
        """A suggestion was sent to the editor."""
        names = ", ".join(field.name for field in fields(shown))
        marks = ", ".join("?" for _ in fields(shown))
        with self._connection:
            self._connection.execute(
                f"INSERT OR IGNORE INTO suggestion ({names}) VALUES ({marks})", astuple(shown)
            )

    def confirm(self, key: str) -> None:
        """The editor says that it has shown it."""
        self._update("is_confirmed = 1 WHERE key = ?", key)

    def accept(self, key: str, num_chars: int, *, is_whole: bool) -> None:
        """All or the first ``num_chars`` characters were taken over; the most counts."""
        outcome = "accepted" if is_whole else "partial"
        self._update(
            "outcome = CASE WHEN outcome = 'accepted' THEN outcome ELSE ? END,"
            " num_accepted_chars = max(num_accepted_chars, ?) WHERE key = ?",
            outcome,
            num_chars,
            key,
        )

    def ignore(self, key: str) -> None:
        """Something else came in its place; what was accepted stays accepted."""
        self._update("outcome = 'ignored' WHERE key = ? AND outcome = 'open'", key)

    def keep(self, key: str, num_chars: int) -> None:
        """How many accepted characters still stood in the document some time later."""
        self._update("num_kept_chars = ? WHERE key = ?", num_chars, key)

    def close(self) -> None:
        self._connection.close()

    def _update(self, change: str, *values: object) -> None:
        with self._connection:
            self._connection.execute(f"UPDATE suggestion SET {change}", values)


def read_rows(path: Path, since: float = 0.0) -> list[dict[str, Any]]:
    """All rows shown since then (seconds since 1970), oldest first; none where there is no log.

    Raises RequestError when ``path`` cannot be read as a log."""
    if not path.exists():
        return []
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            connection.row_factory = sqlite3.Row
            query = "SELECT * FROM suggestion WHERE shown_at >= ? ORDER BY shown_at"
            return [dict(row) for row in connection.execute(query, (since,))]
    except sqlite3.Error as error:
        raise RequestError(
            f"{path} cannot be read ({error}); `completion-server stats --clear` removes it"
        ) from error


def delete_log(path: Path) -> bool:
    """Remove the log; whether there was one. Raises OSError."""
    existed = path.exists()
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return existed
