"""Where the log is kept: files that only the user may read, in the user's state folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

DATABASE_NAME = "usage.sqlite3"
TRACES_NAME = "traces.jsonl"


def state_dir() -> Path:
    """The user's state folder of this program; it may not exist yet."""
    return platformdirs.user_state_path("completion-server", appauthor=False)


def make_private(path: Path) -> None:
    """Create ``path`` with its folder, for the user alone; an existing file keeps its content. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    path.chmod(0o600)
