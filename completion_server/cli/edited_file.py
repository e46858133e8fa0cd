"""A text file on the disk as the terminal editor works on it: read with ``\\n``, saved as it was.

Line ends, a byte order mark and permissions survive; a save is whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from completion_server.cli.file_position import read_source
from completion_server.errors import DocumentError

_BOM = "\ufeff"


class EditedFile:
    """One file. The disk is touched by ``save`` alone."""

    def __init__(self, path: Path) -> None:
        """Raises DocumentError for a directory, an unreadable file, or text that is not UTF-8."""
        # A link stays a link: what it points to is replaced.
        self.path = path.resolve()
        self.is_new = not self.path.exists()
        if self.is_new and not self.path.parent.is_dir():
            raise DocumentError(f"there is no directory {self.path.parent}")
        data = b"" if self.is_new else read_source(self.path)
        self._stamp = self._disk_stamp()
        text = data.decode("utf-8")
        self._has_bom = text.startswith(_BOM)
        text = text.removeprefix(_BOM)
        self.has_crlf = "\r\n" in text and _all_crlf(text)
        self.text = text.replace("\r\n", "\n") if self.has_crlf else text
        """The text as edited. Only a file whose every line ends with CRLF is turned to ``\\n``: a mixed one
        keeps its carriage returns in the text, and so on the disk."""

    def encode(self, text: str) -> bytes:
        """The bytes that ``text`` is saved as."""
        if self.has_crlf:
            text = text.replace("\n", "\r\n")
        return ((_BOM if self._has_bom else "") + text).encode("utf-8")

    @property
    def has_changed_on_disk(self) -> bool:
        """Whether someone else wrote, made or removed the file since it was read or saved here."""
        return self._disk_stamp() != self._stamp

    def save(self, text: str) -> None:
        """Replace the file by ``text``. Raises DocumentError; the file is then as it was."""
        try:
            data = self.encode(text)
        except UnicodeEncodeError as error:
            raise DocumentError(f"{self.path} is not saved: {error.reason} at character {error.start}") from error
        try:
            self._replace(data)
        except OSError as error:
            raise DocumentError(f"{self.path} is not saved: {error.strerror or error}") from error
        self._stamp = self._disk_stamp()
        self.is_new = False

    def _replace(self, data: bytes) -> None:
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if self.path.exists():
                shutil.copymode(self.path, name)
            else:
                os.chmod(name, 0o666 & ~_umask())
            os.replace(name, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    def _disk_stamp(self) -> tuple[int, int] | None:
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size


def _all_crlf(text: str) -> bool:
    rest = text.replace("\r\n", "")
    return "\n" not in rest and "\r" not in rest


def _umask() -> int:
    """The process' umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
