"""Which file of this machine an editor's URI names."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname


def path_of_uri(uri: str) -> Path | None:
    """The file that ``uri`` names on this machine; None for other schemes and for what is no path."""
    try:
        parts = urlsplit(uri)
        if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or "%00" in parts.path:
            return None
        path = Path(url2pathname(parts.path))
    except ValueError:
        return None
    return path if path.is_absolute() else None


def path_named_by(uri: str) -> Path | None:
    """The path that ``uri`` stands for, whatever its scheme: of a notebook's cell, a file on a remote machine, an
    older version in git, an unsaved file. Only to ask whether it is excluded, never to read it."""
    try:
        parts = urlsplit(uri)
        if "%00" in parts.path:
            return None
        path = Path(os.path.normpath(url2pathname(parts.path)))
    except ValueError:
        return None
    return path if path.is_absolute() else None


def path_in(root: Path, uri: str) -> str | None:
    """The file that ``uri`` names, relative to ``root`` with slashes; None where it is not below it."""
    file = path_of_uri(uri)
    return file.relative_to(root).as_posix() if file is not None and file.is_relative_to(root) else None
