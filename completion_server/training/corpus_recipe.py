"""What a corpus is made from: a TOML recipe naming source trees and packages, and the languages' shares."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from completion_server.training.error import TrainingError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOURCE_KINDS = ("directory", "wheel", "npm", "debian", "deb")
"""Debian packages as sources ("debian") or, where they carry sources (Rust, Go), as they are ("deb")."""
SPLITS = ("train", "validation", "held-out")
_HELD_OUT_PERCENT = 8
_VALIDATION_PERCENT = 4


@dataclass(frozen=True)
class Source:
    """One repository. ``name``: a path for the kind "directory", else the package's name in its registry."""

    kind: str
    name: str
    version: str | None = None
    """None: the newest."""
    licence: str | None = None
    """Stated by the recipe's author, who has read it; it goes before what the metadata says."""
    split: str | None = None
    """None: decided by a hash of the name."""

    @property
    def key(self) -> str:
        """What the corpus calls this repository."""
        return f"{self.kind}:{Path(self.name).resolve().name if self.kind == 'directory' else self.name}"

    def chosen_split(self, seed: int) -> str:
        """The split of the whole repository, so that no file of it is in two."""
        if self.split is not None:
            return self.split
        digest = hashlib.sha256(f"{seed} {self.key}".encode()).digest()
        percent = int.from_bytes(digest[:4], "big") % 100
        if percent < _HELD_OUT_PERCENT:
            return "held-out"
        return "validation" if percent < _HELD_OUT_PERCENT + _VALIDATION_PERCENT else "train"


@dataclass(frozen=True)
class CorpusRecipe:
    """``max_chars_per_repository`` keeps a large repository from being most of its language."""

    sources: tuple[Source, ...]
    seed: int = 0
    max_chars_per_repository: int = 1_500_000
    language_shares: Mapping[str, float] = field(default_factory=dict)
    """How often a language is drawn in training, relative to the others; missing: by its amount of text."""


def read_recipe(path: Path) -> CorpusRecipe:
    """The recipe in ``path``; paths in it are relative to its directory. Raises TrainingError."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"the corpus recipe {path} cannot be read: {error}") from error
    if not all(isinstance(raw.get(name, {}), dict) for name in ("packages", "language_shares")):
        raise TrainingError(
            f"the corpus recipe {path} cannot be read: [packages] and [language_shares] are tables"
        )
    sources = [*_listed(raw.get("packages", {}), path), *_detailed(raw.get("source", []), path)]
    if not sources:
        raise TrainingError(f"the corpus recipe {path} names no source")
    keys = [source.key for source in sources]
    if doubled := sorted({key for key in keys if keys.count(key) > 1}):
        raise TrainingError(f"the corpus recipe {path} names a source twice: {', '.join(doubled)}")
    return CorpusRecipe(
        tuple(sources),
        int(raw.get("seed", 0)),
        int(raw.get("max_chars_per_repository", 1_500_000)),
        {str(name): float(share) for name, share in raw.get("language_shares", {}).items()},
    )


def _listed(groups: Mapping[str, Any], path: Path) -> list[Source]:
    """``[packages]``: per kind a list of "name" or "name==version"."""
    sources = []
    for kind, names in groups.items():
        for text in names:
            name, _, version = str(text).partition("==")
            sources.append(_checked(Source(kind, name, version or None), path))
    return sources


def _detailed(tables: list[Mapping[str, Any]], path: Path) -> list[Source]:
    """``[[source]]``: one table per source with all its fields."""
    sources = []
    for table in tables:
        if unknown := table.keys() - Source.__dataclass_fields__.keys():
            raise TrainingError(f"{path}: a source has no field {sorted(unknown)[0]!r}")
        source = _checked(Source(**table), path)
        if source.kind == "directory":
            source = Source(
                source.kind, str(path.parent / source.name), source.version, source.licence, source.split
            )
        sources.append(source)
    return sources


def _checked(source: Source, path: Path) -> Source:
    if source.kind not in SOURCE_KINDS:
        raise TrainingError(f"{path}: no such kind of source: {source.kind!r} (known: {', '.join(SOURCE_KINDS)})")
    if source.split not in {None, *SPLITS}:
        raise TrainingError(f"{path}: no such split: {source.split!r} (known: {', '.join(SPLITS)})")
    return source
