"""One process per run directory: a second one that is started by mistake ends with a clear message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from completion_server.training.error import TrainingError


@contextmanager
def locked_run(directory: Path) -> Iterator[None]:
    """Hold the run in ``directory``; raises TrainingError while another process does."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingError(f"another process trains in {directory}") from None
    try:
        yield
    finally:
        lock.release()
