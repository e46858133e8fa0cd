"""How close a completion is to what was there: exact match, edit similarity, and whether it ended in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_Z95 = 1.96


@dataclass(frozen=True)
class FilledHole:
    """What was there and what was offered, both as text; ``language`` and ``kind`` to group by."""

    language: str
    kind: str
    middle: str
    completion: str

    @property
    def is_exact(self) -> bool:
        """Equal but for white space at the end."""
        return self.completion.rstrip() == self.middle.rstrip()

    @property
    def has_begun_right(self) -> bool:
        """The middle is there, followed by nothing or by more."""
        return bool(self.completion) and self.completion.rstrip().startswith(self.middle.rstrip())

    @property
    def similarity(self) -> float:
        """1 - Levenshtein distance / length of the longer, between 0 and 1."""
        return edit_similarity(self.completion.rstrip(), self.middle.rstrip())


@dataclass(frozen=True)
class Score:
    """Shares between 0 and 1; None where nothing was counted."""

    num_holes: int
    exact_match: float
    exact_low: float
    """The 95 % interval of ``exact_match`` (Wilson)."""
    exact_high: float
    edit_similarity: float
    answered: float
    """Share of holes with any completion."""
    stopped_right: float | None
    """Of the completions that contain the middle from the start, those that end there."""


def num_only_exact(here: Sequence[FilledHole], there: Sequence[FilledHole]) -> int:
    """Of the same holes, in the same order: how many are filled exactly here and not there."""
    return sum(one.is_exact and not other.is_exact for one, other in zip(here, there, strict=True))


def score(holes: Sequence[FilledHole]) -> Score:
    """The mean over ``holes``, which are not empty."""
    num_holes = len(holes)
    num_exact = sum(hole.is_exact for hole in holes)
    begun = [hole for hole in holes if hole.has_begun_right]
    low, high = wilson_interval(num_exact, num_holes)
    return Score(
        num_holes,
        num_exact / num_holes,
        low,
        high,
        sum(hole.similarity for hole in holes) / num_holes,
        sum(bool(hole.completion) for hole in holes) / num_holes,
        sum(hole.is_exact for hole in begun) / len(begun) if begun else None,
    )


def edit_similarity(first: str, second: str) -> float:
    """1 - Levenshtein distance / length of the longer text; 1 for two empty texts."""
    longer = max(len(first), len(second))
    return 1 - levenshtein(first, second) / longer if longer else 1.0


def levenshtein(first: str, second: str) -> int:
    """Fewest insertions, deletions and replacements of one character that turn one text into the other."""
    row = list(range(len(second) + 1))
    for number, character in enumerate(first, 1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(second, 1):
            diagonal, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, diagonal + (character != other)),
            )
    return row[-1]


def wilson_interval(num_right: int, num_all: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson 1927)."""
    share = num_right / num_all
    centre = share + _Z95**2 / (2 * num_all)
    spread = _Z95 * math.sqrt(share * (1 - share) / num_all + _Z95**2 / (4 * num_all**2))
    scale = 1 + _Z95**2 / num_all
    return max((centre - spread) / scale, 0.0), min((centre + spread) / scale, 1.0)
