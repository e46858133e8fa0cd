"""Which model of the registry a directory was made from by training; what was fitted for that one still applies.

The gate's calibration, the weight of the n-gram model beside it: a personalised model has the same right to them.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import msgspec
from msgspec import Struct

from completion_server.catalog.manifest import MANIFEST_NAME
from completion_server.catalog.registry import find_entry

ORIGIN_NAME = "made_from.json"
_MAX_BYTES = 1 << 16


class _Origin(Struct, frozen=True):
    """``name`` as in the manifest of an installed model."""

    name: str


def write_origin(directory: Path, base: str) -> None:
    """Note in the model ``directory`` that it was made from the model called ``base``. Raises OSError."""
    (directory / ORIGIN_NAME).write_bytes(msgspec.json.encode(_Origin(origin_of(base))) + b"\n")


def origin_of(name: str) -> str:
    """The registry's name of ``name``, or of what is in that directory or was made into it; else ``name``."""
    stated = (_stated_name(name, file) for file in (MANIFEST_NAME, ORIGIN_NAME))
    entries = (find_entry(each) for each in chain((name,), stated))
    return next((entry.name for entry in entries if entry is not None), name)


def _stated_name(directory: str, file: str) -> str:
    try:
        with (Path(directory).expanduser() / file).open("rb") as stream:
            return msgspec.json.decode(stream.read(_MAX_BYTES), type=_Origin).name
    except (OSError, ValueError, RuntimeError):  # the last: "~nobody"
        return ""
