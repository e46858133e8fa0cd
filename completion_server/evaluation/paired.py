"""Two runs over the same holes, hole by hole: where the one is right and the other is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from completion_server.errors import RequestError
from completion_server.evaluation.served import HoleRecord, read_records

_SAME_HOLES = ("split", "seed", "num_per_kind", "corpus")


@dataclass(frozen=True)
class PairedCounts:
    """Counts of holes; ``p_value`` of the exact two-sided McNemar test (McNemar 1947; binomial form)."""

    num_holes: int
    num_both_right: int
    num_only_here: int
    num_only_there: int
    num_same_text: int
    """Holes where both offered the very same text, or both nothing."""
    p_value: float


def compare_with(path: Path, facts: dict[str, Any], records: Sequence[HoleRecord]) -> tuple[str, PairedCounts]:
    """``records`` ("here") against those in ``path`` ("there"), and what computed the latter.

    Raises RequestError when ``path`` holds no records of the same holes, whole.
    """
    others_facts, others = read_records(path)
    differing = [name for name in _SAME_HOLES if others_facts.get(name) != facts.get(name)]
    if differing or [(each.number, each.kind) for each in others] != [
        (each.number, each.kind) for each in records
    ]:
        what = f" (another {differing[0]})" if differing else ""
        raise RequestError(f"{path} is not of the same holes{what}")
    return describe_engine(others_facts), count_pairs(records, others)


def count_pairs(here: Sequence[HoleRecord], there: Sequence[HoleRecord]) -> PairedCounts:
    """Of the same holes in the same order."""
    pairs = list(zip(here, there, strict=True))
    only_here = sum(first.is_right and not second.is_right for first, second in pairs)
    only_there = sum(second.is_right and not first.is_right for first, second in pairs)
    return PairedCounts(
        len(pairs),
        sum(first.is_right and second.is_right for first, second in pairs),
        only_here,
        only_there,
        sum(first.text_digest == second.text_digest for first, second in pairs),
        mcnemar_p(only_here, only_there),
    )


def mcnemar_p(num_only_here: int, num_only_there: int) -> float:
    """How probable so uneven a split of the discordant pairs, or one more uneven, is by chance."""
    num_all, fewer = num_only_here + num_only_there, min(num_only_here, num_only_there)
    tail = sum(math.comb(num_all, count) for count in range(fewer + 1))
    return min(1.0, 2 * tail / (1 << num_all))


def describe_engine(facts: dict[str, Any]) -> str:
    """What computed, in a few words: "llama.cpp q8_0 llama-completion"."""
    names = ("backend", "dtype", "dialect")
    return " ".join(str(facts[name]) for name in names if facts.get(name)) or str(facts.get("model", "?"))
