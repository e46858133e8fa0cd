"""Somebody who edits at random, with everything that puts two copies of a text apart."""

from __future__ import annotations

import random
from collections.abc import Iterator

# Strokes, with a space between two. \f, \v, NEL and the Unicode separators are line ends to Python's splitlines,
# and to LSP they are not.
_INSERT_STROKES = """
a x ( ) é ß 漢 😀 e~ LS PS NEL <Space> <CR> <Tab> <BS> <Del> <C-w> <C-u> <C-t> <C-d> <C-v>u000c <C-v>u000b
<Left> <Right> <Up> <Down> <Home> <End> <M-Right> <M-Down> <C-]>
"""
_NORMAL_STROKES = """
j k w b x dd p P J u <C-r> o<Esc> yyp D ~ >> gUU G gg ddp cwé<Esc> r😀 A;<Esc> ggyG:$put<CR>:%s/a/é😀/<CR>
"""
_INVISIBLE = {"e~": "e\u0301", "LS": "\u2028", "PS": "\u2029", "NEL": "\u0085"}
_TYPED = [_INVISIBLE.get(stroke, stroke) for stroke in _INSERT_STROKES.split()]
_NORMAL = _NORMAL_STROKES.split()
_ENTER_INSERT = ["i", "a", "A", "I", "o", "O", "cw"]
_MAX_COPIES = 2


def random_keys(seed: int, count: int) -> Iterator[str]:
    """So many strokes, each complete in itself; the last one leaves insert mode."""
    choose = random.Random(seed)
    is_inserting = False
    num_copies = 0
    for _ in range(count - 1):
        if choose.random() < (0.06 if is_inserting else 0.4):
            yield "<Esc>" if is_inserting else choose.choice(_ENTER_INSERT)
            is_inserting = not is_inserting
            continue
        stroke = choose.choice(_TYPED if is_inserting else _NORMAL)
        if stroke.startswith("ggyG"):
            num_copies += 1
            stroke = stroke if num_copies <= _MAX_COPIES else "x"  # the text doubles each time
        yield stroke
    yield "<Esc>"
