"""Whether one model is better than another on the same holes, or whether chance would do it too."""

from __future__ import annotations

import math
from math import comb


def sign_test(num_gained: int, num_lost: int) -> float:
    """Two-sided p-value of the exact sign test: ``num_gained`` holes only the one got right, ``num_lost`` only the
    other; those that both or neither got right say nothing. 1 when there is no difference."""
    num_all = num_gained + num_lost
    if num_all == 0:
        return 1.0
    num_ways = sum(comb(num_all, k) for k in range(max(num_gained, num_lost), num_all + 1))
    return min(math.ldexp(num_ways, 1 - num_all), 1.0)
