"""A token in a file that only the user can read: who can read it may ask."""

from __future__ import annotations

import secrets
import stat
import sys
from pathlib import Path

from completion_server.errors import ConfigError
from completion_server.safe_files import read_bounded, stat_regular
from completion_server.shared.address import write_private

_MIN_CHARS = 20
_MAX_BYTES = 4096


def read_or_make_token(path: Path) -> str:
    """The token in ``path``, made at the first call. Raises ConfigError when it cannot be read or kept."""
    try:
        mode = stat_regular(path).st_mode
        token = read_bounded(path, _MAX_BYTES).decode("ascii").strip()
    except FileNotFoundError:
        return _make(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the token in {path} cannot be read: {error}") from error
    if sys.platform != "win32" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"the token in {path} is open to other users: chmod 600 it, or remove it")
    if len(token) < _MIN_CHARS or not token.isprintable():
        raise ConfigError(f"the token in {path} is too short, or no line of text: remove the file")
    return token


def _make(path: Path) -> str:
    token = secrets.token_urlsafe(32)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, token.encode() + b"\n")
    except OSError as error:
        raise ConfigError(f"the token cannot be kept in {path}: {error}") from error
    return token
