"""The files that sessions are made from: the Python standard library that is installed anyway, or local ones."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

from completion_server.document import split_lines
from completion_server.errors import DocumentError

_STANDARD_LIBRARY = (
    "argparse.py",
    "configparser.py",
    "inspect.py",
    "tarfile.py",
    "typing.py",
    "subprocess.py",
    "difflib.py",
    "shutil.py",
    "mailbox.py",
    "optparse.py",
    "statistics.py",
    "ftplib.py",
    "doctest.py",
    "pydoc.py",
    "threading.py",
    "socket.py",
    "ssl.py",
    "ast.py",
    "logging/__init__.py",
)
_LANGUAGE_IDS = {
    ".py": "python",
    ".js": "javascript",
    ".ts": "typescript",
    ".go": "go",
    ".rs": "rust",
    ".java": "java",
    ".c": "c",
    ".cpp": "cpp",
}
_MIN_LINES = 500
_MIN_LOCAL_LINES = 40
_MAX_BYTES = 2_000_000


@dataclass(frozen=True)
class SourceFile:
    """A name for reports, never a path, and the text."""

    name: str
    language_id: str
    text: str = field(repr=False)


def read_sources(place: Path | None = None) -> tuple[SourceFile, ...]:
    """Files to make sessions from: ``place`` (a file or a directory), or the standard library.

    Raises DocumentError when there is none that is long enough.
    """
    if place is None:
        library = Path(sysconfig.get_path("stdlib"))
        found = [_read(library / name, name, _MIN_LINES) for name in _STANDARD_LIBRARY]
    elif place.is_dir():
        paths = sorted(path for path in place.rglob("*") if path.suffix in _LANGUAGE_IDS)
        found = [_read(path, path.relative_to(place).as_posix(), _MIN_LOCAL_LINES) for path in paths]
    else:
        found = [_read(place, place.name, 1)]
    sources = tuple(source for source in found if source is not None)
    if not sources:
        where = "the standard library" if place is None else str(place)
        raise DocumentError(f"no source file in {where} that typing sessions could be made from")
    return sources


def _read(path: Path, name: str, min_lines: int) -> SourceFile | None:
    """None for what is missing, not text, too short or too large."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return None
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    language_id = _LANGUAGE_IDS.get(path.suffix, "plaintext")
    return SourceFile(name, language_id, text) if len(split_lines(text)) > min_lines else None
