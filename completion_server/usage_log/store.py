"""One row per suggestion in SQLite: numbers about it and what the user did. No source text, no file names."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import Meta

from completion_server.errors import RequestError
from completion_server.usage_log.place import make_private
from completion_server.usage_log.schema import check_file, check_table, is_damage, migrate, set_aside

MAX_AGE_DAYS = 90
_BUSY_SECONDS = 2.0
_DAY_SECONDS = 86_400


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


class _Row(TypedDict):
    """What a row must have; see ``ShownSuggestion``."""

    key: str
    shown_at: Annotated[float, Meta(ge=0, lt=1e11)]
    language: str
    model: str
    kind: str
    score: float | None
    num_chars: int
    num_lines: int
    latency_ms: float
    outcome: str
    num_accepted_chars: int
    num_kept_chars: int | None


class UsageStore:
    """A connection that writes; for one thread. All methods raise ``sqlite3.Error``."""

    def __init__(self, path: Path) -> None:
        """Create or open ``path`` and drop rows older than MAX_AGE_DAYS. Also raises OSError.

        What is no log, or one of a newer version, is set aside.
        """
        try:
            self._connection = _opened(path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            set_aside(path, error)
            self._connection = _opened(path)

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
    try:
        check_file(path)
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            if not path.stat().st_size:
                return []
            check_table(connection)
            connection.row_factory = sqlite3.Row
            query = "SELECT * FROM suggestion WHERE shown_at >= ? ORDER BY shown_at"
            rows = [dict(row) for row in connection.execute(query, (since,))]
        msgspec.convert(rows, list[_Row])  # a column of SQLite may hold any type
        return rows
    except (sqlite3.Error, OSError, msgspec.ValidationError) as error:
        raise RequestError(
            f"{path} cannot be read ({error}); `completion-server stats --clear` removes it"
        ) from error


def _opened(path: Path) -> sqlite3.Connection:
    """A connection to a log of this version. Raises sqlite3.Error and OSError."""
    check_file(path)
    make_private(path)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        migrate(connection)
        with connection:
            oldest = now() - MAX_AGE_DAYS * _DAY_SECONDS
            connection.execute("DELETE FROM suggestion WHERE shown_at < ?", (oldest,))
    except BaseException:
        connection.close()
        raise
    return connection


def delete_log(path: Path) -> bool:
    """Remove the log; whether there was one. Raises OSError."""
    existed = path.exists()
    for name in (path.name, f"{path.name}.unusable"):
        for suffix in ("", "-wal", "-shm"):
            path.with_name(name + suffix).unlink(missing_ok=True)
    return existed
