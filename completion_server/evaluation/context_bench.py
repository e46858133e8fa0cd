"""How long it takes to choose snippets, in a workspace made for it: files in packages that import each other."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from completion_server.context.collect import ContextCollector
from completion_server.cross_file import MAX_TOKENS_BESIDE
from completion_server.document import Document, Position
from completion_server.request import WorkspaceView

_FILES_PER_PACKAGE = 40
_IMPORTS_PER_FILE = 12
_DEFINITIONS_PER_FILE = 10
_NUM_OPEN = 8


@dataclass(frozen=True)
class ContextTimes:
    """Milliseconds per request, sorted; and what was indexed."""

    num_files: int
    index_seconds: float
    longest_piece_ms: float
    """The longest that the background works without a pause."""
    kept_ms: list[float]
    """While the cursor stays near: what a key costs."""
    chosen_ms: list[float]
    """After a jump: snippets are chosen anew."""
    num_snippets: int


def measure_context(root: Path, num_files: int = 2000, num_requests: int = 500, seed: int = 0) -> ContextTimes:
    """Make a workspace in the empty directory ``root``, index it, and ask at random places of it."""
    paths = make_workspace(root, num_files, seed)
    rng = random.Random(seed)
    collector = ContextCollector(runs_in_background=False)
    opened = [_document(root, path) for path in rng.sample(paths, min(_NUM_OPEN, len(paths)))]
    view = WorkspaceView(tuple(opened), root.as_uri())
    collector.collect(opened[0], Position(0, 0), view, MAX_TOKENS_BESIDE)
    began = time.perf_counter()
    longest_piece_ms = 0.0
    is_more = True
    while is_more:
        before = time.perf_counter()
        is_more = collector.work()
        longest_piece_ms = max(longest_piece_ms, (time.perf_counter() - before) * 1000)
    index_seconds = time.perf_counter() - began
    kept_ms: list[float] = []
    chosen_ms: list[float] = []
    num_snippets = 0
    for _ in range(num_requests):
        document = _document(root, rng.choice(paths))
        place = Position(rng.randrange(len(document.lines)), 0)
        collector.clear()
        for times in (chosen_ms, kept_ms):
            before = time.perf_counter()
            context = collector.collect(document, place, view, MAX_TOKENS_BESIDE)
            times.append((time.perf_counter() - before) * 1000)
        num_snippets += len(context.snippets)
    num_indexed = collector.status()["num_indexed_files"]
    assert isinstance(num_indexed, int)
    return ContextTimes(
        num_indexed, index_seconds, longest_piece_ms, sorted(kept_ms), sorted(chosen_ms), num_snippets
    )


def make_workspace(root: Path, num_files: int, seed: int = 0) -> list[str]:
    """Python files below ``root``, a few thousand characters each; returns their paths."""
    rng = random.Random(seed)
    modules = [f"package_{number // _FILES_PER_PACKAGE}/module_{number}" for number in range(num_files)]
    for number, module in enumerate(modules):
        imported = rng.sample(range(num_files), min(_IMPORTS_PER_FILE, num_files))
        lines = [
            f"from {modules[other].replace('/', '.')} import Class_{other}, function_{other}_0\n"
            for other in imported
            if other != number
        ]
        lines.append(f"\n\nclass Class_{number}:\n    '''Number {number}.'''\n")
        lines += [
            f"\n    def method_{i}(self, value: int) -> int:\n        return value + {i}\n" for i in range(6)
        ]
        for index in range(_DEFINITIONS_PER_FILE):
            other = rng.choice(imported)
            lines.append(
                f"\n\ndef function_{number}_{index}(first: int, second: str = '') -> int:\n"
                f"    thing = Class_{other}()\n    total = function_{other}_0(first)\n"
                f"    return thing.method_{index % 6}(total) + len(second)\n"
            )
        file = root / f"{module}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(lines), encoding="utf-8")
    return [f"{module}.py" for module in modules]


def _document(root: Path, path: str) -> Document:
    file = root / path
    return Document.from_text(file.read_text(encoding="utf-8"), uri=file.as_uri(), language_id="python", version=1)
