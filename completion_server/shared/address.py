"""Where the shared engine of a model is found: one address per model, its settings and this program's version.

A directory that only the user can read holds, per engine: a lock that the living engine holds, the socket, a file
that says how to talk to it (with a token), and its log. Without Unix sockets, or where the path would be too long
for one, the engine listens on a loopback port and the token alone keeps others out.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import sys
import warnings
from pathlib import Path

import msgspec
import platformdirs
from msgspec import Struct

from completion_server import __version__
from completion_server.config import ModelSettings
from completion_server.errors import SharedEngineError
from completion_server.shared.wire import WIRE_VERSION

_APP = "completion-server"
_MAX_SOCKET_PATH = 100  # bytes; sun_path is 104 on macOS and 108 on Linux
_WINDOW_SETTINGS = ("fim_format", "prompt_order", "shared", "shared_idle_minutes")


class EngineFile(Struct, frozen=True):
    """How to talk to an engine: ``port`` 0 means the Unix socket beside this file."""

    pid: int
    token: str
    port: int
    model: str
    version: str = __version__


class EngineAddress:
    """The files of one engine. Making one changes nothing on the disk."""

    def __init__(self, directory: Path, fingerprint: str) -> None:
        self.directory = directory
        self.fingerprint = fingerprint
        self.socket_path = directory / f"{fingerprint}.sock"
        self.file_path = directory / f"{fingerprint}.json"
        self.lock_path = directory / f"{fingerprint}.lock"
        self.log_path = directory / f"{fingerprint}.log"

    @property
    def has_unix_socket(self) -> bool:
        """Whether the engine listens on a Unix socket, and not on a loopback port."""
        return hasattr(socket, "AF_UNIX") and len(os.fsencode(self.socket_path)) <= _MAX_SOCKET_PATH

    def read_file(self) -> EngineFile:
        """What the engine wrote. Raises SharedEngineError when there is none, or it is damaged."""
        try:
            return msgspec.json.decode(self.file_path.read_bytes(), type=EngineFile)
        except (OSError, msgspec.DecodeError) as error:
            raise SharedEngineError(f"no shared engine runs here ({error})") from error

    def write_file(self, content: EngineFile) -> None:
        """Readable by the user only, and whole or not there at all."""
        write_private(self.file_path, msgspec.json.encode(content))

    def connect(self, timeout_seconds: float) -> tuple[socket.socket, EngineFile]:
        """A connected socket. Raises SharedEngineError when nobody listens."""
        check_private(self.directory)
        content = self.read_file()
        try:
            if content.port:
                return socket.create_connection(("127.0.0.1", content.port), timeout_seconds), content
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(timeout_seconds)
                connection.connect(str(self.socket_path))
            except OSError:
                connection.close()
                raise
        except OSError as error:
            raise SharedEngineError(f"the shared engine does not listen ({error})") from error
        return connection, content

    def remove_files(self) -> None:
        """Called by an engine that leaves, as long as it holds the lock."""
        for path in (self.socket_path, self.file_path):
            path.unlink(missing_ok=True)


def address_of(model: ModelSettings, directory: Path | None = None) -> EngineAddress:
    """The address of the engine for ``model``; ``directory`` None: the user's runtime directory.

    Settings that only concern prompts do not count, and a model that is a file or a directory counts with what is
    in it, so that a new training run does not meet the old weights.
    """
    shared = {
        field: value for field, value in msgspec.structs.asdict(model).items() if field not in _WINDOW_SETTINGS
    }
    path = Path(model.name).expanduser()
    if path.exists():
        shared["name"] = str(path.resolve())
        shared["files"] = _files_in(path)
    content = msgspec.json.encode([__version__, WIRE_VERSION, sorted(shared.items())])
    return EngineAddress(directory or runtime_directory(), hashlib.sha256(content).hexdigest()[:16])


def running_addresses(directory: Path | None = None) -> list[EngineAddress]:
    """The addresses that have an engine's file; the engine itself may be gone."""
    directory = directory or runtime_directory()
    return [EngineAddress(directory, path.stem) for path in sorted(directory.glob("*.json"))]


def absolute_model(model: ModelSettings) -> ModelSettings:
    """``model`` as it is understood in any working directory."""
    path = Path(model.name).expanduser()
    return msgspec.structs.replace(model, name=str(path.resolve())) if path.exists() else model


def runtime_directory() -> Path:
    """The user's own runtime directory, made if need be; below the cache directory where the system has none.

    Raises SharedEngineError when others could get into it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it falls back to /tmp and says so; that is looked at below
        path = platformdirs.user_runtime_path(_APP, appauthor=False)
    if sys.platform != "win32" and not _is_own(path.parent):
        path = platformdirs.user_cache_path(_APP, appauthor=False) / "run"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SharedEngineError(f"no directory for a shared engine: {error}") from error
    check_private(path)
    return path


def check_private(directory: Path) -> None:
    """Raises SharedEngineError unless ``directory`` is the user's and closed to others. Windows' ACLs do that."""
    if sys.platform == "win32":
        return
    try:
        info = directory.lstat()
    except OSError as error:
        raise SharedEngineError(f"no directory for a shared engine: {error}") from error
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise SharedEngineError(f"{directory} is open to other users: chmod 700 it, or remove it")


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only the user can read; whoever reads it sees the old content or the new."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    unfinished.replace(path)


def _is_own(directory: Path) -> bool:
    """Whether no other user can put anything into ``directory``."""
    try:
        info = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and not info.st_mode & 0o022


def _files_in(path: Path) -> list[tuple[str, int, int]]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    infos = [(file.name, file.stat()) for file in files if file.is_file()]
    return [(name, info.st_size, info.st_mtime_ns) for name, info in infos]
