"""Source files of a workspace: found without following links, read only when they are text of a sensible size."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from completion_server.context.definition import Definition
from completion_server.context.ignore import IgnoreRules
from completion_server.context.imports import Import, find_imports
from completion_server.context.outline import outline
from completion_server.document import Document, short_lines, split_lines
from completion_server.safe_files import read_bounded
from completion_server.secrets_filter import redact
from completion_server.syntax import LANGUAGE_ID_OF_ENDING

MAX_FILE_BYTES = 128 * 1024
_MAX_MEAN_LINE_CHARS = 200
_HEAD_LINES, _HEAD_CHARS = 200, 16_000
_MAX_DIRECTORIES = 20_000
_MAX_DEPTH = 32

_FAMILIES = (
    frozenset({"typescript", "typescriptreact", "javascript", "javascriptreact", "tsx"}),
    frozenset({"c", "cpp", "cuda-cpp"}),
    frozenset({"shellscript", "bash", "sh"}),
)

_GO_PACKAGE = re.compile(r"^package (\w+)", re.MULTILINE)

Stamp = tuple[object, ...]
"""What tells one version of a file from another."""


@dataclass(frozen=True)
class SourceText:
    """One file as far as other files may see it. ``text`` holds no secrets; "" where only the outline is kept."""

    path: str
    language_id: str
    stamp: Stamp
    text: str = field(repr=False)
    definitions: tuple[Definition, ...] = field(default=(), repr=False)
    imports: tuple[Import, ...] = field(default=(), repr=False)
    by_name: dict[str, Definition] = field(default_factory=dict, repr=False, compare=False)
    package: str = ""
    """What the file's package calls itself, in Go: not always as its directory is called."""


def language_of(path: str) -> str | None:
    """The language id by the file's ending; None for files that are no source code."""
    return LANGUAGE_ID_OF_ENDING.get(path.rpartition("/")[2].rpartition(".")[2].lower())


def is_same_family(first: str, second: str) -> bool:
    """Whether code in one language id may be used in the other."""
    return first == second or any(first in family and second in family for family in _FAMILIES)


def walk(root: Path, rules: IgnoreRules, max_files: int) -> Iterator[tuple[str, Stamp] | None]:
    """(path, stamp) of the source files below ``root``, those near the root first; None after each directory.

    Links are not followed, so there are no loops. What cannot be read is left out.
    """
    waiting = deque([("", 0)])
    num_files = num_directories = 0
    while waiting and num_directories < _MAX_DIRECTORIES:
        directory, depth = waiting.popleft()
        num_directories += 1
        for entry, path in _entries(root, directory):
            if _is_directory(entry):
                if depth < _MAX_DEPTH and not rules.hides_directory(path):
                    waiting.append((path, depth + 1))
                continue
            stamp = None if language_of(path) is None else _stamp(entry)
            # The directories above are not hidden, or this one would not be looked into.
            if stamp is not None and not rules.is_hidden(path):
                yield path, stamp
                num_files += 1
                if num_files == max_files:
                    return
        yield None


def stamp_of(file: Path) -> Stamp | None:
    """The stamp of a regular file of a size that is read; None for anything else, links included."""
    try:
        if file.is_symlink() or not file.is_file():
            return None
        status = file.stat()
    except (OSError, ValueError):
        return None
    return (status.st_mtime_ns, status.st_size) if status.st_size <= MAX_FILE_BYTES else None


def read_source(file: Path, path: str, stamp: Stamp) -> SourceText | None:
    """The file's text and outline; None for binary, foreign-encoded, packed or vanished files."""
    language_id = language_of(path)
    try:
        data = read_bounded(file, MAX_FILE_BYTES, file.parent)
    except (OSError, ValueError):
        return None
    if language_id is None or b"\0" in data:
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return source_of_text(text, path, language_id, stamp)


def source_of_document(document: Document, path: str) -> SourceText | None:
    """The same for an open document, whose text need not be that on disk."""
    if sum(map(len, document.lines)) > MAX_FILE_BYTES:
        return None
    return source_of_text(document.text, path, document.language_id, ("open", document.uri, document.version))


def source_of_text(text: str, path: str, language_id: str, stamp: Stamp) -> SourceText | None:
    """The outline of ``text`` without its secrets and long lines; None for packed code."""
    num_lines = text.count("\n") + 1
    if len(text) / num_lines > _MAX_MEAN_LINE_CHARS:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = redact("".join(short_lines(split_lines(text))))
    definitions = outline(text, language_id)
    by_name: dict[str, Definition] = {}
    for definition in definitions:
        for name in definition.names:
            by_name.setdefault(name, definition)
    imports = find_imports(head_of(text.splitlines(keepends=True)), language_id)
    package = _GO_PACKAGE.search(text) if language_id == "go" else None
    name = "" if package is None else package[1]
    return SourceText(path, language_id, stamp, text, definitions, imports, by_name, name)


def head_of(lines: tuple[str, ...] | list[str]) -> str:
    """The beginning of a file, where its imports are."""
    return "".join(lines[:_HEAD_LINES])[:_HEAD_CHARS]


def _entries(root: Path, directory: str) -> list[tuple[os.DirEntry[str], str]]:
    try:
        with os.scandir(root / directory) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError:
        return []
    return [(entry, f"{directory}/{entry.name}" if directory else entry.name) for entry in entries]


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _stamp(entry: os.DirEntry[str]) -> Stamp | None:
    try:
        if not entry.is_file(follow_symlinks=False):
            return None
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size) if status.st_size <= MAX_FILE_BYTES else None
