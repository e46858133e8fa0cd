"""A corpus on this disk: source files by split, whole repositories apart; scores are of code never seen."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from completion_server.errors import RequestError

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True)
class SourceFile:
    """One file: the repository it came from, its path there, its language as tree-sitter calls it, its text."""

    repository: str
    path: str
    language: str
    text: str = field(repr=False)


def split_path(directory: Path, split: str) -> Path:
    """The file of ``split`` ("train", "validation" or "held-out") in a corpus directory."""
    return directory / f"{split}.jsonl"


def write_files(path: Path, files: Iterable[SourceFile]) -> None:
    """Write ``files``, one JSON object a line; raises OSError."""
    with path.open("wb") as stream:
        for file in files:
            stream.write(msgspec.json.encode(asdict(file)) + b"\n")


def read_split(directory: Path, split: str) -> list[SourceFile]:
    """All files of a split. Raises RequestError when ``directory`` is no corpus or is damaged."""
    path = split_path(directory, split)
    try:
        with path.open("rb") as stream:
            return [msgspec.json.decode(line, type=SourceFile) for line in stream]
    except (OSError, msgspec.MsgspecError) as error:
        raise RequestError(f"{directory} is not a corpus that can be read: {error}") from error


def read_manifest(directory: Path) -> dict[str, Any]:
    """What the corpus was made from; raises RequestError."""
    try:
        manifest = json.loads((directory / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{directory} is not a corpus that can be read: {error}") from error
    return manifest if isinstance(manifest, dict) else {}
