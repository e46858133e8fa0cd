"""``FILE:LINE:COL`` as editors and compilers write it, and files read as text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from completion_server.document import Document, Position, line_body
from completion_server.errors import DocumentError

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+)(?::(?P<column>\d+))?:?\Z", re.DOTALL)
_LANGUAGE_IDS = {
    ".bash": "shellscript", ".c": "c", ".cc": "cpp", ".cpp": "cpp", ".cs": "csharp", ".css": "css", ".cxx": "cpp",
    ".go": "go", ".h": "c", ".hpp": "cpp", ".hs": "haskell", ".html": "html", ".java": "java", ".js": "javascript",
    ".json": "json", ".jsx": "javascriptreact", ".kt": "kotlin", ".lua": "lua", ".md": "markdown",
    ".mjs": "javascript", ".php": "php", ".pl": "perl", ".py": "python", ".pyi": "python", ".r": "r",
    ".rb": "ruby",
    ".rs": "rust", ".scala": "scala", ".sh": "shellscript", ".sql": "sql", ".swift": "swift", ".toml": "toml",
    ".ts": "typescript", ".tsx": "typescriptreact", ".yaml": "yaml", ".yml": "yaml",
}  # fmt: skip


@dataclass(frozen=True)
class FilePosition:
    """A place in a file as a person names it: ``line`` and ``column`` count from 1; no column: end of line."""

    path: Path
    line: int
    column: int | None = None


def parse_file_position(text: str) -> FilePosition:
    """Read ``FILE:LINE:COL`` or ``FILE:LINE``; colons inside FILE are its own. Raises DocumentError."""
    match = _PLACE.match(text)
    if match is None:
        raise DocumentError(f"{text!r} is not FILE:LINE:COL or FILE:LINE (lines and columns count from 1)")
    file, line, column = match["file"], int(match["line"]), match["column"]
    if not Path(file).exists() and column is not None and Path(f"{file}:{line}").exists():
        # A file that is itself called "name:12".
        return FilePosition(Path(f"{file}:{line}"), int(column))
    return FilePosition(Path(file), line, None if column is None else int(column))


def locate(place: FilePosition, document: Document) -> Position:
    """The zero-based position of ``place``. Raises DocumentError when it is outside of the text."""
    num_lines = len(document.lines)
    if not 1 <= place.line <= num_lines:
        raise DocumentError(f"{place.path} has lines 1 to {num_lines}; there is no line {place.line}")
    length = len(line_body(document.lines[place.line - 1]))
    if place.column is None:
        return Position(place.line - 1, length)
    if not 1 <= place.column <= length + 1:
        raise DocumentError(
            f"line {place.line} of {place.path} has columns 1 to {length + 1}; there is no column {place.column}"
        )
    return Position(place.line - 1, place.column - 1)


def read_document(path: Path) -> Document:
    """The file as a document, line ends untouched. Raises DocumentError saying what is wrong with it."""
    text = read_source(path).decode("utf-8").removeprefix("\ufeff")
    return Document.from_text(text, uri=path.resolve().as_uri(), language_id=language_id_of(path))


def read_source(path: Path) -> bytes:
    """The bytes of a UTF-8 text file. Raises DocumentError."""
    try:
        data = path.read_bytes()
        data.decode("utf-8")
    except FileNotFoundError:
        raise DocumentError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise DocumentError(f"{path} is a directory") from None
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path} is not UTF-8 text (byte {error.start}); convert it first") from None
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror or error}") from error
    return data


def language_id_of(path: Path) -> str:
    """The LSP language id for a file name; "plaintext" for an unknown one."""
    return _LANGUAGE_IDS.get(path.suffix.lower(), "plaintext")
