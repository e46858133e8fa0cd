"""Parsing with an end: a text that takes a parser too long has no tree.

There are texts of 100 KB, such as ``#include <a>`` 9,000 times as TypeScript, on which a tree-sitter parser works
for half a minute with the interpreter's lock in its hand. The parser reports after every 100 of its operations.
That is where it is stopped, and where other threads get their turn.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Any

REPLY_SECONDS = 0.02
"""Of processor time, where an answer waits; a window of usual code takes 3 ms."""
BACKGROUND_SECONDS = 0.3
"""Of processor time, where nothing waits; a file of 128 KB of usual code takes 30 ms."""
_MIN_REPORTS = 100
_REPORTS_PER_KB = 80
"""Usual code needs 5, code of another language 12, minified code 40."""
_CHUNK_BYTES = 4096
_MAX_CHILDREN = 8_000


def parse_bounded(parser: Any, data: bytes, seconds: float, old_tree: Any = None) -> Any:
    """The ``Tree`` of ``data``, None where ``parser`` has not made it after so much work.

    The number of operations decides first: it is the same in each run. ``seconds`` bounds it on slow machines.
    """
    max_reports = _MIN_REPORTS + _REPORTS_PER_KB * len(data) // 1000
    num_reports = 0
    began = time.thread_time()

    def is_enough(_offset: int, _has_error: bool) -> bool:
        nonlocal num_reports
        num_reports += 1
        return num_reports > max_reports or time.thread_time() - began > seconds

    def read(offset: int, _point: object) -> bytes:
        return data[offset : offset + _CHUNK_BYTES]  # as bytes: Node.text crashes on a memoryview

    old = () if old_tree is None else (old_tree,)
    try:
        return parser.parse(read, *old, progress_callback=is_enough)
    except ValueError:
        parser.reset()  # it would go on with this text
        return None


def children_of(node: Any) -> list[Any]:
    """The named children of ``node``, none where it has very many: they are made at once, under the lock."""
    return node.named_children if node.named_child_count <= _MAX_CHILDREN else []


def descendants(node: Any, kinds: Collection[str], through: Collection[str] | None = None) -> Iterator[Any]:
    """Nodes of ``kinds`` below ``node``, in order, but not below one another.

    Looked for only inside of nodes ``through`` (None: everywhere). Without recursion: a tree may be deep.
    """
    waiting = children_of(node)[::-1]
    while waiting:
        child = waiting.pop()
        if child.type in kinds:
            yield child
        elif through is None or child.type in through:
            waiting += children_of(child)[::-1]
