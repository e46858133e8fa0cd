"""Whether files are still what was written: SHA-256 of each, compared when size or time of change differs.

Reading 160 MB to hash it takes a tenth of a second to a second, so an untouched file is hashed once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

CHECKSUMS_NAME = "checksums.json"
_MAX_FILE_BYTES, _READ_BYTES = 1 << 20, 1 << 20


class Checksum(Struct, frozen=True):
    """A file's hash, and the status of the file when it was found to be right."""

    sha256: str
    size: int
    mtime_ns: int
    inode: int


def record(directory: Path, paths: Iterable[Path], list_path: Path) -> None:
    """Hash ``paths``, files below ``directory``, and keep that in ``list_path``. Raises OSError."""
    _write(list_path, {_key(directory, path): _checksum_of(path) for path in paths})


def find_damaged(directory: Path, paths: Iterable[Path], list_path: Path) -> Path | None:
    """The first of ``paths`` whose content is not what was recorded; None when all is well.

    What was not recorded counts as it is now. Raises OSError for files that cannot be read.
    """
    known = _read(list_path)
    checked = dict(known)
    for path in paths:
        key = _key(directory, path)
        recorded = known.get(key)
        if recorded is not None and _is_untouched(path, recorded):
            continue
        found = _checksum_of(path)
        if recorded is not None and found.sha256 != recorded.sha256:
            return path
        checked[key] = found
    if checked != known:
        with contextlib.suppress(OSError):  # a folder that cannot be written is checked again the next time
            _write(list_path, checked)
    return None


def _key(directory: Path, path: Path) -> str:
    return path.relative_to(directory).as_posix()


def _is_untouched(path: Path, recorded: Checksum) -> bool:
    status = path.stat()
    return (status.st_size, status.st_mtime_ns, status.st_ino) == (
        recorded.size,
        recorded.mtime_ns,
        recorded.inode,
    )


def _checksum_of(path: Path) -> Checksum:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        digest = hashlib.sha256()
        while part := file.read(_READ_BYTES):
            digest.update(part)
    return Checksum(digest.hexdigest(), status.st_size, status.st_mtime_ns, status.st_ino)


def _read(list_path: Path) -> dict[str, Checksum]:
    try:
        if list_path.stat().st_size > _MAX_FILE_BYTES:
            return {}
        return msgspec.json.decode(list_path.read_bytes(), type=dict[str, Checksum])
    except (OSError, msgspec.DecodeError):
        return {}


def _write(list_path: Path, checksums: dict[str, Checksum]) -> None:
    partial = list_path.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(msgspec.json.encode(checksums))
        partial.replace(list_path)
    finally:
        partial.unlink(missing_ok=True)
