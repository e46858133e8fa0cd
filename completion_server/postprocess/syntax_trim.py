"""The completed file must not have more syntax errors than the file had before, nor other ones."""

from __future__ import annotations

from completion_server.postprocess.closing import AT_HOME, HARMLESS, fitted
from completion_server.postprocess.place import Place

_NUM_LONGEST, _NUM_SHORTEST = 3, 2  # what is tried of many lines; a tree is about 0.2 ms


def trim_to_syntax(text: str, place: Place) -> str:
    """Take off lines from the end, then closers too many, until the tree has no more errors than without.

    Brackets that are left open are closed for the count; ``close_what_is_open`` does it for what is shown.
    The longest text that is at home wins, else the longest that adds no error, else nothing. Without a grammar the
    pairs of the lexicon are counted.
    """
    harmless = ""
    for candidate in _candidates(text, place):
        if not candidate.strip():
            continue
        _shown, fit = fitted(candidate, place)
        if fit == AT_HOME:
            return candidate
        if fit == HARMLESS and not harmless:
            harmless = candidate
    return harmless


def _candidates(text: str, place: Place) -> list[str]:
    """``text``, without its last comma, with fewer lines, then its first line without the closers in it."""
    lines = text.split("\n")
    shorter = ["\n".join(lines[:end]).rstrip() for end in range(len(lines) - 1, 0, -1)]
    first = lines[0].rstrip()
    shorter += _before_foreign_closers(first, place)
    while first and first[-1] in ")]}":
        first = first[:-1].rstrip()
        shorter.append(first)
    without_comma = [text.rstrip()[:-1].rstrip()] if text.rstrip().endswith(",") else []
    return [text, *without_comma, *shorter[:_NUM_LONGEST], *shorter[_NUM_LONGEST:][-_NUM_SHORTEST:]]


def _before_foreign_closers(line: str, place: Place) -> list[str]:
    """``line`` up to each of the closers in it whose openers stand before it, or nowhere; the longest first."""
    ends = [event.at - len(place.window_before) for event in place.read(line).foreign]
    return [line[:end].rstrip() for end in reversed(ends)]
