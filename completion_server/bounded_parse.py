"""Parsing with an end: a text that takes a parser too long has no tree.

There are texts of 100 KB, such as ``#include <a>`` 9,000 times as TypeScript, on which a tree-sitter parser works
for half a minute with the interpreter's lock in its hand. A parser reports after every 100 of its operations: that
is where it is stopped, and where other threads get their turn. But it does not report while it recovers from an
error at the end of a text, or while it looks far ahead for a token. So what no file looks like is not parsed at
all: the same again and again, and brackets of which very many are left open.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Collection, Iterator
from typing import Any

REPLY_SECONDS = 0.02
"""Of processor time, where an answer waits; a window of usual code takes 3 ms."""
BACKGROUND_SECONDS = 0.3
"""Of processor time, where nothing waits; a file of 128 KB of usual code takes 30 ms."""
_MIN_REPORTS = 100
_REPORTS_PER_KB = 80
"""Usual code needs 5, code of another language 12, minified code 40."""
_CHUNK_BYTES = 4096  # as bytes, not as a memoryview, of which ``Node.text`` crashes
_MAX_CHILDREN = 8_000
_MIN_CHECKED_BYTES = 500
_MAX_REPETITION = 30
"""How much smaller zlib makes a text. Usual code: up to 15; tables and generated code: up to 20."""
_BRACKETS = ((b"(", b")", 0.01), (b"[", b"]", 0.01), (b"{", b"}", 0.01), (b"<", b">", 0.08))
"""With the share of a text's characters that may be left open; in usual code 0.003, of ``<`` 0.03."""
_MAX_OPEN_BRACKETS = 50
"""That are always allowed."""
_SAMPLE_BYTES, _NUM_SAMPLES = 2_000, 4
_SAMPLE_SECONDS = 0.05


def parse_bounded(parser: Any, data: bytes, seconds: float, old_tree: Any = None) -> Any:
    """The ``Tree`` of ``data``, None where ``parser`` has not made it after so much work.

    The number of operations decides first: it is the same in each run. ``seconds`` bounds it on slow machines.
    With ``old_tree``, of which ``data`` is a small change, no more is asked of ``data`` itself.
    """
    if old_tree is None and not _is_plausible(data):
        return None
    num_left = _MIN_REPORTS + _REPORTS_PER_KB * len(data) // 1000
    end = time.thread_time() + seconds

    def is_enough(_offset: int, _has_error: bool) -> bool:
        nonlocal num_left
        num_left -= 1
        return num_left < 0 or time.thread_time() > end

    def read(offset: int, _point: object) -> bytes:
        # Never an end before the end: it has made parsers crash.
        return data[offset : offset + _CHUNK_BYTES]

    old = () if old_tree is None else (old_tree,)
    try:
        return parser.parse(read, *old, progress_callback=is_enough)
    except ValueError:
        parser.reset()  # it would go on with this text
        return None


def parse_file(parser: Any, data: bytes) -> Any:
    """The ``Tree`` of a file, where nothing waits for it; None as above, or where a part of it takes long."""
    step = len(data) // _NUM_SAMPLES
    for start in range(0, len(data) - _SAMPLE_BYTES, step) if step > _SAMPLE_BYTES else ():
        began = time.thread_time()
        parse_bounded(parser, data[start : start + _SAMPLE_BYTES], _SAMPLE_SECONDS)
        if time.thread_time() - began > _SAMPLE_SECONDS:
            return None
    return parse_bounded(parser, data, BACKGROUND_SECONDS)


def _is_plausible(data: bytes) -> bool:
    """Whether ``data`` looks like a file that a person or a program wrote."""
    size = len(data)
    if size < _MIN_CHECKED_BYTES:
        return True
    if size > _MAX_REPETITION * len(zlib.compress(data, 1)):
        return False
    return all(
        abs(data.count(opener) - data.count(closer)) <= _MAX_OPEN_BRACKETS + share * size
        for opener, closer, share in _BRACKETS
    )


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
