"""Which model of the registry a directory was made from by training; what was fitted for that one still applies.

The gate's calibration, the weight of the n-gram model beside it: a personalised model has the same right to them.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from completion_server.catalog.registry import find_entry

ORIGIN_NAME = "made_from.json"
_MAX_BYTES = 4096


class _Origin(Struct, frozen=True):
    model: str


def write_origin(directory: Path, base: str) -> None:
    """Note in the model ``directory`` that it was made from the model called ``base``. Raises OSError."""
    (directory / ORIGIN_NAME).write_bytes(msgspec.json.encode(_Origin(origin_of(base))) + b"\n")


def origin_of(name: str) -> str:
    """The registry's name for ``name``, or for what the directory ``name`` was made from; else ``name`` itself."""
    entry = find_entry(name)
    if entry is not None:
        return entry.name
    path = Path(name).expanduser() / ORIGIN_NAME
    try:
        with path.open("rb") as stream:
            stated = msgspec.json.decode(stream.read(_MAX_BYTES), type=_Origin)
    except (OSError, ValueError):
        return name
    origin = find_entry(stated.model)
    return name if origin is None else origin.name
