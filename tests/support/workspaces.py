"""Small workspaces on disk, and collectors that have looked at all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from completion_server.context.collect import ContextCollector
from completion_server.context.index import IndexLimits
from completion_server.request import WorkspaceView
from tests.support.marked import parse_marked


def write_files(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """``root`` with ``files`` (path -> content) in it."""
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def settled_collector(root: Path, limits: IndexLimits | None = None) -> ContextCollector:
    """A collector that knows every file below ``root``, without a thread."""
    collector = ContextCollector(limits, runs_in_background=False)
    document, position = parse_marked("ˇ", uri=(root / "unsaved.py").as_uri())
    collector.collect(document, position, WorkspaceView((), root.as_uri()), 0)
    settle(collector)
    collector.clear()
    return collector


def settle(collector: ContextCollector) -> None:
    """Do all that would be done in the background."""
    while collector.work():
        pass
