"""The database's version: how it is made, brought up to date, checked, and set aside when it is not usable."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path

from completion_server.safe_files import FileRefusedError, stat_regular

log = logging.getLogger(__name__)

COLUMNS = frozenset(
    {
        *("key", "shown_at", "language", "model", "kind", "score", "num_chars", "num_lines", "latency_ms"),
        *("is_confirmed", "outcome", "num_accepted_chars", "num_kept_chars"),
    }
)
_TABLE = """
CREATE TABLE IF NOT EXISTS suggestion (
    key TEXT PRIMARY KEY, shown_at REAL NOT NULL, language TEXT NOT NULL, model TEXT NOT NULL,
    kind TEXT NOT NULL, score REAL, num_chars INTEGER NOT NULL, num_lines INTEGER NOT NULL,
    latency_ms REAL NOT NULL, is_confirmed INTEGER NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT 'open', num_accepted_chars INTEGER NOT NULL DEFAULT 0, num_kept_chars INTEGER
)
"""
_MIGRATIONS = ((_TABLE,),)
"""Statements that lead from each version to the next. Version 0 has no table, or that of version 1."""
SCHEMA_VERSION = len(_MIGRATIONS)
_MAX_BYTES = 256 << 20
_SUFFIXES = ("", "-wal", "-shm")


class UnusableLogError(sqlite3.DatabaseError):
    """A file that is no usage log of this version or an older one."""


def is_damage(error: Exception) -> bool:
    """Whether ``error`` says that the file is of no use; not that it is locked, or the disk full."""
    return isinstance(error, UnusableLogError) or type(error) is sqlite3.DatabaseError


def check_file(path: Path) -> None:
    """Raises UnusableLogError where opening ``path`` as a database would block or take long."""
    try:
        size = stat_regular(path).st_size
    except FileNotFoundError:
        return
    except FileRefusedError as error:
        raise UnusableLogError(str(error)) from error
    if size > _MAX_BYTES:
        raise UnusableLogError(f"it is larger than {_MAX_BYTES >> 20} MiB")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to this version. Raises UnusableLogError for a newer or another program's one."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")  # another window may be doing the same
        version = _version(connection)
        for statements in _MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        check_table(connection)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def check_table(connection: sqlite3.Connection) -> None:
    """Raises UnusableLogError unless the table is as this version knows it."""
    _version(connection)
    kind = connection.execute("SELECT type FROM sqlite_master WHERE name = 'suggestion'").fetchone()
    columns = {row[1] for row in connection.execute("PRAGMA table_info(suggestion)")}
    if kind is None or kind[0] != "table" or columns != COLUMNS:
        raise UnusableLogError("its table is not that of a usage log")


def set_aside(path: Path, reason: object) -> None:
    """Rename ``path`` so that a new log can begin; one that was set aside before is replaced. Raises OSError."""
    aside = path.with_name(f"{path.name}.unusable")
    for suffix in _SUFFIXES:
        _remove(aside.with_name(aside.name + suffix))
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    log.warning(
        "the usage log %s cannot be used (%s); it is kept as %s and a new one begins", path, reason, aside.name
    )


def _remove(path: Path) -> None:
    """Anything but a directory with something in it, which makes the renaming fail."""
    if path.is_dir() and not path.is_symlink():
        with contextlib.suppress(OSError):
            path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _version(connection: sqlite3.Connection) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not 0 <= version <= SCHEMA_VERSION:
        raise UnusableLogError(f"it has version {version}, and this program knows {SCHEMA_VERSION}")
    return version
