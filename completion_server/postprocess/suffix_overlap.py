"""Nothing is suggested that already stands after the cursor."""

from __future__ import annotations

from itertools import pairwise

from completion_server.postprocess.place import Place
from completion_server.trigger import indent_width

_CLOSERS = ")]}>\"'`"
_OPENER = {")": "(", "]": "[", "}": "{", ">": "<"}
_BEFORE_LISTS = ("=", "(", "[", "{", ",", ":")
"""A bracket after one of these begins a list, and one on the next line a list in that."""
_MIN_LINE = 3


def drop_rest_of_line(text: str, place: Place) -> str:
    """Cut an end of ``text`` that repeats the whole rest of the cursor's line (``foo)`` before ``)``)."""
    rest = place.after_on_line.strip()
    if not rest:
        return text
    first, line_end, others = text.partition("\n")
    stripped = first.rstrip()
    # Longest overlap first: the end of the text is the beginning of what follows.
    for size in range(min(len(rest), len(stripped)), 0, -1):
        if stripped.endswith(rest[:size]) and _is_really_repeated(stripped, rest[:size], rest):
            return stripped[: len(stripped) - size]
    return first + line_end + others


def _is_really_repeated(text: str, overlap: str, rest: str) -> bool:
    """Whole rest of the line, or closing brackets that ``text`` itself did not open."""
    if overlap == rest and (len(rest) >= _MIN_LINE or not all(char in _CLOSERS for char in rest)):
        return True
    if not all(char in _CLOSERS for char in overlap):
        return False
    return all(_closes_foreign(text, char) for char in overlap)


def _closes_foreign(text: str, closer: str) -> bool:
    opener = _OPENER.get(closer)
    if opener is None:
        return text.count(closer) % 2 == 1
    return text.count(closer) > text.count(opener)


def drop_lines_that_follow(text: str, place: Place) -> str:
    """Cut from the first line of ``text`` that equals the next written line of the document.

    An opening brace at its end is cut where it is the next line, as some styles write it.
    """
    if not place.lines_after:
        return text
    wanted = place.lines_after[0]
    if wanted in _OPENER.values() and text.rstrip().endswith(wanted):
        without = text.rstrip()[:-1].rstrip()
        if without[-1:] not in _BEFORE_LISTS:
            text = without
    lines = text.split("\n")
    if len(wanted) >= _MIN_LINE and (place.before_on_line + lines[0]).strip() == wanted:
        return ""
    for number, line in enumerate(lines[1:], start=1):
        if number + 1 < len(lines) and _is_pair_below(line, lines[number + 1], place.lines_after):
            return "\n".join(lines[:number]).rstrip()
        is_short_too = number == len(lines) - 1 and indent_width(line) == place.next_indent_width
        if line.strip() == wanted and (len(wanted) >= _MIN_LINE or is_short_too):
            return "\n".join(lines[:number]).rstrip()
    return text


def _is_pair_below(line: str, next_line: str, below: tuple[str, ...]) -> bool:
    """Whether both lines stand one after the other a little further down."""
    first, second = line.strip(), next_line.strip()
    if min(len(first), len(second)) < _MIN_LINE:
        return False
    return any(pair == (first, second) for pair in pairwise(below))
