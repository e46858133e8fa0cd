"""A log that is broken, foreign, older or newer, and a state folder that is not to be written: nothing stops."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from completion_server import bootstrap
from completion_server.backends.tuning import Tuning, read_tuning, write_tuning
from completion_server.config import Settings
from completion_server.errors import RequestError
from completion_server.usage_log.place import DATABASE_NAME, TRACES_NAME
from completion_server.usage_log.schema import SCHEMA_VERSION, UnusableLogError
from completion_server.usage_log.store import UsageStore, delete_log, read_rows
from completion_server.usage_log.traces import read_traces
from completion_server.usage_log.writer import UsageWriter
from tests.usage_log.test_usage_log import fill, shown

OLD_TABLE = """CREATE TABLE suggestion (
    key TEXT PRIMARY KEY, shown_at REAL NOT NULL, language TEXT NOT NULL, model TEXT NOT NULL,
    kind TEXT NOT NULL, score REAL, num_chars INTEGER NOT NULL, num_lines INTEGER NOT NULL,
    latency_ms REAL NOT NULL, is_confirmed INTEGER NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT 'open', num_accepted_chars INTEGER NOT NULL DEFAULT 0, num_kept_chars INTEGER
)"""


def sql(*statements: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    return make


def content(data: bytes) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(data), None)[1]


def cut(size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        fill(path)
        with path.open("r+b") as file:
            file.truncate(size)

    return make


def overwritten(start: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        fill(path)
        with path.open("r+b") as file:
            file.seek(start)
            file.write(b"\xff" * 4096)

    return make


UNUSABLE = {
    "text": content(b"not a database, but long enough to be looked at" * 40),
    "zeros": content(bytes(8192)),
    "its head only": content(b"SQLite format 3\0" + bytes(200)),
    "cut": cut(5000),
    "its first page overwritten": overwritten(100),
    "newer": sql(OLD_TABLE, f"PRAGMA user_version = {SCHEMA_VERSION + 1}"),
    "much newer": sql(OLD_TABLE, "PRAGMA user_version = 2147483647"),
    "a negative version": sql(OLD_TABLE, "PRAGMA user_version = -3"),
    "without model": sql(OLD_TABLE.replace("model TEXT NOT NULL,", "")),
    "with a column more": sql(OLD_TABLE, "ALTER TABLE suggestion ADD COLUMN more TEXT NOT NULL DEFAULT ''"),
    "other columns": sql("CREATE TABLE suggestion (id INTEGER)"),
    "a view": sql(
        OLD_TABLE.replace("TABLE suggestion", "TABLE other"), "CREATE VIEW suggestion AS SELECT * FROM other"
    ),
    "an empty directory": Path.mkdir,
    "a directory": lambda path: ((path / "below").mkdir(parents=True), None)[1],
    "a link to nothing that ends": lambda path: path.symlink_to("/dev/zero"),
    "a link to a directory": lambda path: path.symlink_to("/tmp"),
}
if hasattr(os, "mkfifo"):
    UNUSABLE["a FIFO"] = os.mkfifo  # type: ignore[assignment]
    UNUSABLE["a link to a FIFO"] = lambda path: (os.mkfifo(path.with_name("fifo")), path.symlink_to("fifo"), None)[
        2
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="links and FIFOs")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_no_log_is_set_aside(
    tmp_path: Path, make: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / DATABASE_NAME
    make(path)
    with pytest.raises(RequestError, match="--clear"):
        read_rows(path)
    with caplog.at_level(logging.WARNING):
        writer = UsageWriter(tmp_path)
        for key in "ab":
            writer.write(lambda store, key=key: store.add(shown(key)))  # type: ignore[misc]
        writer.close(30)
    assert [row["key"] for row in read_rows(path)] == ["a", "b"]
    assert os.path.lexists(tmp_path / f"{DATABASE_NAME}.unusable")
    assert len(caplog.records) == 1
    assert "a new one begins" in caplog.text
    fill(path)  # and the same once more, over what was set aside before
    assert len(read_rows(path)) >= 4


def test_a_log_without_a_version_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / DATABASE_NAME
    insert = (
        "INSERT INTO suggestion VALUES ('old', 4e9, 'go', 'm', 'automatic', 0.5, 1, 1, 1.0, 0, 'accepted', 1, 1)"
    )
    sql(OLD_TABLE, insert)(path)
    assert len(read_rows(path)) == 1
    UsageStore(path).close()
    assert [row["key"] for row in read_rows(path)] == ["old"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_an_empty_file_is_an_empty_log(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).touch()
    assert read_rows(tmp_path / DATABASE_NAME) == []
    fill(tmp_path / DATABASE_NAME)
    assert len(read_rows(tmp_path / DATABASE_NAME)) == 4


@pytest.mark.parametrize(
    "change",
    ["model = x'00'", "score = 'high'", "score = x'00'", "shown_at = 'today'", "shown_at = 1e300",
     "latency_ms = ''", "num_chars = 'x'", "num_accepted_chars = 0.5", "num_kept_chars = 'all'",
     "language = x'ff'", "outcome = x'00'"],
)  # fmt: skip
def test_values_of_another_type_are_not_summed(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_names, **_options: tmp_path)
    fill(tmp_path / DATABASE_NAME)
    sql(f"UPDATE suggestion SET {change}")(tmp_path / DATABASE_NAME)
    with pytest.raises(RequestError, match="--clear"):
        read_rows(tmp_path / DATABASE_NAME)
    assert bootstrap._gate(Settings()) is not None


@pytest.mark.skipif(sys.platform == "win32", reason="links and FIFOs")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", UNUSABLE.values(), ids=UNUSABLE)
def test_no_log_keeps_the_model_from_being_loaded(
    tmp_path: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_names, **_options: tmp_path)
    make(tmp_path / DATABASE_NAME)
    gate = bootstrap._gate(Settings())
    assert gate is not None


def test_a_log_that_breaks_while_it_is_written_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = UsageWriter(tmp_path)

    def damage(_store: UsageStore) -> None:
        if not os.path.lexists(tmp_path / f"{DATABASE_NAME}.unusable"):
            raise UnusableLogError("the file is damaged")

    writer.write(lambda store: store.add(shown("before")))
    writer.write(damage)
    writer.write(lambda store: store.add(shown("after")))
    writer.close(30)
    assert [row["key"] for row in read_rows(tmp_path / DATABASE_NAME)] == ["after"]
    assert [row["key"] for row in read_rows(tmp_path / f"{DATABASE_NAME}.unusable")] == ["before"]
    assert len(caplog.records) == 1


def test_a_fault_that_stays_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    UsageStore(tmp_path / DATABASE_NAME).close()
    writer = UsageWriter(tmp_path)

    def refuse(_store: UsageStore) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    for _ in range(5):
        writer.write(refuse)
    writer.write(lambda store: store.add(shown("a")))
    writer.close(30)
    assert len(caplog.records) == 1
    assert [row["key"] for row in read_rows(tmp_path / DATABASE_NAME)] == ["a"]


def test_what_was_set_aside_is_deleted_with_the_log(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"no log" * 100)
    fill(tmp_path / DATABASE_NAME)
    assert delete_log(tmp_path / DATABASE_NAME)
    assert list(tmp_path.iterdir()) == []


FOLDERS: dict[str, Callable[[Path], Path]] = {
    "a file": lambda path: (path.write_bytes(b""), path)[1],
    "below a file": lambda path: (path.write_bytes(b""), path / "below")[1],
    "a link to nothing": lambda path: (path.symlink_to("nowhere/at/all"), path)[1],
    "a loop of links": lambda path: (path.symlink_to(path.name), path)[1],
    "a folder of the kernel": lambda _path: Path("/proc/self/completion-server"),
    "a device": lambda _path: Path("/dev/null"),
    "a name that is too long": lambda path: path / ("x" * 300),
}
if hasattr(os, "mkfifo"):
    FOLDERS["a FIFO"] = lambda path: (os.mkfifo(path), path)[1]


@pytest.mark.skipif(sys.platform == "win32", reason="links and FIFOs")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", FOLDERS.values(), ids=FOLDERS)
def test_a_state_folder_that_cannot_be_one(
    tmp_path: Path, make: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make(tmp_path / "state")
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_names, **_options: folder)
    with caplog.at_level(logging.WARNING):
        writer = UsageWriter()
        for key in "ab":
            writer.write(lambda store, key=key: store.add(shown(key)))  # type: ignore[misc]
            writer.trace({"reason": key})
        writer.close(30)
    assert len(caplog.records) == 2, "one for the log and one for the traces"
    assert "Traceback" not in caplog.text
    assert bootstrap._gate(Settings()) is not None
    assert read_traces(folder / TRACES_NAME, 5) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_traces_that_are_no_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / TRACES_NAME)
    writer = UsageWriter(tmp_path)
    writer.trace({"reason": "x"})
    writer.write(lambda store: store.add(shown("a")))
    writer.close(30)
    assert read_traces(tmp_path / TRACES_NAME, 5) == []
    assert len(read_rows(tmp_path / DATABASE_NAME)) == 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "make",
    [content(b""), content(b"{"), content(b"[" * 100_000), content(b"[]"), content(b'{"dtype": 7}'),
     content(b'{"dtype": "float64"}'), content(b'{"num_threads": 1e99}'), content(b'{"num_threads": -1}'),
     content(b'{"engine": "other"}'), content(b"\xff" * 50), content(b" " * (1 << 20) + b"{}"), Path.mkdir,
     *([os.mkfifo, lambda path: path.symlink_to("/dev/zero")] if hasattr(os, "mkfifo") else [])],
    ids=range(14 if hasattr(os, "mkfifo") else 12),
)  # fmt: skip
def test_a_tuning_file_that_is_none(tmp_path: Path, make: Callable[[Path], None]) -> None:
    write_tuning(Tuning(num_threads=3), tmp_path, tmp_path)
    assert read_tuning(tmp_path, tmp_path).num_threads == 3
    (file,) = (tmp_path / "tuning").iterdir()
    file.unlink()
    make(file)
    assert read_tuning(tmp_path, tmp_path) == Tuning()
