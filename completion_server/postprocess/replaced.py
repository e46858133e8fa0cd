"""Closers that stand after the cursor already, and that the text writes itself before it goes on."""

from __future__ import annotations

from dataclasses import dataclass

from completion_server.lexicon import CLOSER_OF
from completion_server.postprocess.place import Place

_SURPLUS = " \t)]}>\"'`"
"""Closers behind all that stand there are too many."""


@dataclass(frozen=True)
class Replacement:
    """``text`` takes the place of ``num_chars`` characters after the cursor; ``text[:end]`` writes them all."""

    text: str
    num_chars: int
    end: int


def find_replaced(text: str, place: Place) -> Replacement:
    """What of the brackets, quotes and tags that editors put in pairs ``text`` writes again and goes on behind.

    ``a).b`` in ``foo(|)`` replaces one. What is replaced is a subsequence of the text, as VS Code wants it. Those
    that the text ends with, but for a comment, are cut off it: they stay where they are. Nothing is replaced where
    code follows them, or a bracket that the text opens as well.
    """
    line = text.split("\n", 1)[0]
    ends = _ends(line, place)
    rest = place.after_on_line[len(ends) :]
    opener = rest.strip()[:1]
    begins_again = bool(ends) and opener in CLOSER_OF and opener in line[ends[-1] :]
    if begins_again or any(map(str.isalnum, rest)):
        return Replacement(text, 0, 0)
    comments = place.lexicon.line_comments
    while ends and _is_no_more(line[ends[-1] :], place.after_on_line, len(ends), comments):
        text = line = line[: ends.pop() - 1]
    return Replacement(text, len(ends), ends[-1] if ends else 0)


def _is_no_more(behind: str, after: str, num_closers: int, comments: tuple[str, ...]) -> bool:
    """Whether ``behind``, what the text writes behind the closers, is nothing or stands there, too."""
    if after.startswith(behind.strip()):
        return True
    behind = behind.strip(_SURPLUS)
    return not behind or behind.startswith(comments) or after[num_closers:].lstrip().startswith(behind)


def without_replaced(text: str, place: Place) -> str:
    """``text`` up to where it first writes what stands after the cursor."""
    ends = _ends(text.split("\n", 1)[0], place)
    return text[: ends[0] - 1] if ends else text


def _ends(line: str, place: Place) -> list[int]:
    """Where in ``line`` each character of the closers after the cursor is written, up to where they differ."""
    ends: list[int] = []
    for event in place.read(line).foreign:
        if not place.after_on_line.startswith(event.closer, len(ends)):
            break
        begin = event.at - len(place.window_before)
        ends += range(begin + 1, begin + len(event.closer) + 1)
    return ends
