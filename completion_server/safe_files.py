"""Reading files that the user did not name: regular files of bounded size, without blocking.

A repository can hold anything under a name that this server reads: a link to ``/dev/zero``, a FIFO without a
writer, a file of 100 GB. Imports nothing of the package.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


class FileRefusedError(OSError):
    """The file exists but must not be read. The message names it and says why."""


def read_bounded(path: Path, max_bytes: int, root: Path | None = None) -> bytes:
    """The content of the regular file at ``path``, which has at most ``max_bytes`` bytes.

    With ``root``, links are followed only as long as they stay below ``root``. Raises FileNotFoundError where
    there is no file, FileRefusedError for anything but a regular file of the allowed size and place, and OSError
    where the system refuses. Neither opening nor reading waits for another process.
    """
    descriptor = _open_regular(path, root)
    try:
        parts, num_left = [], max_bytes + 1
        while num_left > 0 and (part := os.read(descriptor, min(num_left, 1 << 20))):
            parts.append(part)
            num_left -= len(part)
    finally:
        os.close(descriptor)
    if num_left == 0:
        raise FileRefusedError(f"{path} is larger than {max_bytes:,} bytes")
    return b"".join(parts)


def stat_regular(path: Path, root: Path | None = None) -> os.stat_result:
    """The status of the regular file at ``path``; raises as ``read_bounded`` does."""
    status = os.stat(_resolve(path, root))
    if not stat.S_ISREG(status.st_mode):
        raise FileRefusedError(f"{path} is not a regular file")
    return status


def _resolve(path: Path, root: Path | None) -> Path:
    try:
        target = path.resolve(strict=True)
        is_outside = root is not None and not target.is_relative_to(root.resolve(strict=True))
    except (RuntimeError, ValueError) as error:  # a loop of links (before Python 3.13), a null character
        raise FileRefusedError(f"{path!r} cannot be read: {error}") from None
    if is_outside:
        raise FileRefusedError(f"{path} is a link to a place outside of {root}")
    return target


def _open_regular(path: Path, root: Path | None) -> int:
    """An open descriptor.

    The status is taken before opening, because opening a device can have effects, and again after it, because the
    file can have been replaced in between.
    """
    target = _resolve(path, root)
    if not stat.S_ISREG(os.stat(target).st_mode):
        raise FileRefusedError(f"{path} is not a regular file")
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):  # not every system has each
        flags |= getattr(os, name, 0)
    descriptor = os.open(target, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileRefusedError(f"{path} is not a regular file")
    return descriptor
