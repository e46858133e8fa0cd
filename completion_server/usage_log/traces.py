"""The last requests' traces as JSON lines, bounded in size, so that another process can explain them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from completion_server.safe_files import read_bounded
from completion_server.usage_log.place import make_private

_MAX_BYTES = 512 * 1024
_MAX_READ_BYTES = 64 << 20  # one trace may be long


def append_trace(path: Path, trace: Mapping[str, object], max_bytes: int = _MAX_BYTES) -> None:
    """Add ``trace``; at ``max_bytes`` the file becomes ``*.old`` and a new one begins. Raises OSError."""
    if path.exists() and path.stat().st_size >= max_bytes:
        path.replace(_old(path))
    make_private(path)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(trace, default=str, separators=(",", ":")) + "\n")


def read_traces(path: Path, num_traces: int) -> list[dict[str, Any]]:
    """The last ``num_traces`` traces, oldest first; damaged lines are passed over."""
    traces: list[dict[str, Any]] = []
    for each in (_old(path), path):
        try:
            lines = read_bounded(each, _MAX_READ_BYTES).decode("utf-8", "replace").splitlines()
        except OSError:
            continue
        traces += [trace for line in lines if (trace := _decode(line)) is not None]
    return traces[-num_traces:]


def delete_traces(path: Path) -> None:
    """Remove all traces. Raises OSError."""
    for each in (_old(path), path):
        each.unlink(missing_ok=True)


def _old(path: Path) -> Path:
    return path.with_name(path.name + ".old")


def _decode(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
