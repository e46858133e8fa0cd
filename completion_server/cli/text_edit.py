"""What changed between two texts, as the one edit an editor would send. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from completion_server.document import Position, split_lines


@dataclass(frozen=True)
class TextEdit:
    """Replace what lies between ``start`` and ``end`` of the old text by ``text``."""

    start: Position
    end: Position
    text: str


def edit_between(old: str, new: str) -> TextEdit | None:
    """The smallest single edit that turns ``old`` into ``new``; None when they are the same."""
    if old == new:
        return None
    start = _common_prefix(old, new)
    longest_tail = min(len(old), len(new)) - start
    tail = _common_suffix(old, new, longest_tail)
    # An edit between the two characters of a CRLF would lie on no line.
    if old[start - 1 : start] == "\r" or new[start - 1 : start] == "\r":
        start -= 1
    if tail and old[len(old) - tail] == "\n":
        tail -= 1
    return TextEdit(position_of(old, start), position_of(old, len(old) - tail), new[start : len(new) - tail])


def position_of(text: str, offset: int) -> Position:
    """The position of a code point offset, lines counted as LSP does."""
    if "\r" in text:
        lines = split_lines(text[:offset])
        return Position(len(lines) - 1, len(lines[-1]))
    line_start = text.rfind("\n", 0, offset) + 1
    return Position(text.count("\n", 0, offset), offset - line_start)


def _common_prefix(old: str, new: str) -> int:
    """By halving: slices are compared at the speed of memory, characters are not."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_suffix(old: str, new: str, limit: int) -> int:
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if old[len(old) - middle : len(old) - low] == new[len(new) - middle : len(new) - low]:
            low = middle
        else:
            high = middle - 1
    return low
