"""``completion-server.json``: what an installed model is, where it came from, and which files it must have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from completion_server.catalog.gguf_convert import CONVERTER_VERSION

MANIFEST_NAME = "completion-server.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """Sizes in bytes, hashes in hex."""

    name: str
    source: Mapping[str, str | int]
    """``kind`` is "package", "hub" or "gguf-file"; the other keys say which one."""
    licence: str | None = None
    fim_format: str | None = None
    fim_token_ids: Mapping[str, int] = field(default_factory=dict)
    converted_from: str | None = None
    """Name of the GGUF file, None for weights that are used as they came."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    location: str | None = None
    """Where the model's files are, relative to the models directory's parent; None: beside the manifest."""
    files: Mapping[str, int] = field(default_factory=dict)
    """Relative path -> size. A model with a missing or short file is not installed."""
    converter_version: int = CONVERTER_VERSION
    schema_version: int = SCHEMA_VERSION


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write ``manifest`` into ``directory``; raises OSError."""
    text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False)
    (directory / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest in ``directory``; None when there is none, or one that this version cannot use."""
    try:
        raw = json.loads((directory / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(raw, dict) or raw.get("schema_version") != SCHEMA_VERSION:
        return None
    return _parse(raw)


def _parse(raw: Mapping[str, Any]) -> Manifest | None:
    texts_ok = isinstance(raw.get("name"), str) and all(
        isinstance(raw.get(key), str | None) for key in ("licence", "fim_format", "converted_from", "location")
    )
    if not texts_ok or not isinstance(raw.get("converter_version"), int):
        return None
    mappings = {
        "source": _typed_items(raw.get("source"), (str, int)),
        "fim_token_ids": _typed_items(raw.get("fim_token_ids"), (int,)),
        "hashes": _typed_items(raw.get("hashes"), (str,)),
        "files": _typed_items(raw.get("files"), (int,)),
    }
    if any(mapping is None for mapping in mappings.values()):
        return None
    known = {name: raw[name] for name in Manifest.__dataclass_fields__ if name in raw}
    return Manifest(**(known | mappings))


def _typed_items(value: object, types: tuple[type, ...]) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        return None
    fits = all(isinstance(key, str) and isinstance(item, types) for key, item in value.items())
    return value if fits else None
