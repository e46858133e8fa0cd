"""Closers that stand after the cursor already, and that the text writes itself before it goes on."""

from __future__ import annotations

from dataclasses import dataclass

from completion_server.lexicon import CLOSER_OF, lexicon_of, scan
from completion_server.postprocess.place import Place

_BRACKETS = frozenset(CLOSER_OF.values())
_QUOTES = frozenset("\"'`")


@dataclass(frozen=True)
class Replacement:
    """``text`` takes the place of ``num_chars`` characters after the cursor; ``text[:end]`` writes them all."""

    text: str
    num_chars: int
    end: int


def find_replaced(text: str, place: Place) -> Replacement:
    """What of the brackets and quotes that editors put in pairs ``text`` writes again and goes on behind.

    ``a).b`` in ``foo(|)`` replaces one. What is replaced is a subsequence of the text, as VS Code wants it. Those
    that the text ends with, but for a comment, are cut off it: they stay where they are.
    """
    line = text.split("\n", 1)[0]
    ends = _ends(line, place)
    comments = lexicon_of(place.language_id).line_comments
    while ends and (not (behind := line[ends[-1] :].strip()) or behind.startswith(comments)):
        text = line = line[: ends.pop() - 1]
    return Replacement(text, len(ends), ends[-1] if ends else 0)


def without_replaced(text: str, place: Place) -> str:
    """``text`` up to where it first writes what stands after the cursor."""
    ends = _ends(text.split("\n", 1)[0], place)
    return text[: ends[0] - 1] if ends else text


def _ends(line: str, place: Place) -> list[int]:
    """Where in ``line`` each closer right after the cursor is written, in order; up to where they differ."""
    scanner = scan(lexicon_of(place.language_id), line, place.inside)
    closers = [(at, line[at]) for at in scanner.unmatched]
    if scanner.left_at is not None and len(place.inside) == 1:
        closers.insert(0, (scanner.left_at, place.inside))
    ends = []
    for (at, closer), char in zip(closers, place.after_on_line, strict=False):
        if closer != char or not (char in _BRACKETS or char in _QUOTES):
            break
        ends.append(at + 1)
    return ends
