"""Where the log is kept: files that only the user may read, in the user's state folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import platformdirs

from completion_server.safe_files import FileRefusedError

DATABASE_NAME = "usage.sqlite3"
TRACES_NAME = "traces.jsonl"


def state_dir() -> Path:
    """The user's state folder of this program; it may not exist yet."""
    return platformdirs.user_state_path("completion-server", appauthor=False)


def make_private(path: Path) -> None:
    """Create ``path`` with its folder, for the user alone; an existing file keeps its content. Raises OSError.

    Also for anything but a regular file, which is not waited for.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | getattr(os, "O_NONBLOCK", 0), 0o600)
    is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    os.close(descriptor)
    if not is_regular:
        raise FileRefusedError(f"{path} is not a regular file")
    path.chmod(0o600)
