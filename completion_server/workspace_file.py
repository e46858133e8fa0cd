"""A workspace's ``.completion-server.toml``: read with bounds, whatever is in its place, and parsed.

Owns what a repository may put there: a link, a pipe, a file without an end, text that no parser should see. Knows
nothing of what the settings mean, nor of who trusts them.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from completion_server.safe_files import read_bounded
from completion_server.settings_types import WORKSPACE_FILE_NAME

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 64 * 1024
_MAX_DOTS_IN_A_LINE = 100
"""The parser's time grows with the square of a dotted key's length."""


@dataclass(frozen=True)
class WorkspaceFile:
    """One state of the file in ``folder``. Without a file, all of it is empty."""

    folder: Path
    digest: str = ""
    """SHA-256 of its bytes; empty where there is no file that could be read."""
    options: Mapping[str, Any] | None = field(default=None, compare=False)
    """What it asks for, not yet checked; None: nothing, or it is no TOML."""
    problem: str = ""
    """Why it is ignored as a whole, for the user."""
    agreed: bool | None = None
    """Whether the user agreed to this content in this folder; None: the user has not said."""

    @property
    def path(self) -> Path:
        """Where the file is, or would be."""
        return self.folder / WORKSPACE_FILE_NAME


def read_workspace_file(folder: Path) -> WorkspaceFile:
    """The file in ``folder`` as it is now; never raises and never waits for another process."""
    path, digest = folder / WORKSPACE_FILE_NAME, ""
    try:
        content = read_bounded(path, MAX_BYTES, root=folder)
        digest = hashlib.sha256(content).hexdigest()
        return WorkspaceFile(folder, digest, _parse(content))
    except (FileNotFoundError, NotADirectoryError):
        return WorkspaceFile(folder)
    except Exception as error:  # noqa: BLE001 - a repository can hold anything; the server goes on without it
        return WorkspaceFile(folder, digest, problem=f"{path} is ignored: {_reason(error)}")


def _parse(content: bytes) -> dict[str, Any]:
    """Raises ValueError, or whatever else the parser runs into."""
    if any(line.count(b".") > _MAX_DOTS_IN_A_LINE for line in content.splitlines()):
        raise ValueError(f"a line has more than {_MAX_DOTS_IN_A_LINE} dots")
    options: dict[str, Any] = tomllib.loads(content.decode("utf-8"))
    return options


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "its values are nested too deeply"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
