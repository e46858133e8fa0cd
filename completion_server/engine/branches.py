"""Several greedy generations that share a prompt, decoded as one: each forward pass feeds a token of each.

The branches lie one in the other in a single KV cache, and every token sees the prompt and its own branch only
(the attention mask of SpecInfer, Miao et al. 2023, arXiv 2305.09781). A pass of three tokens costs little more
than a pass of one, so three alternatives cost little more than one; nothing is copied.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from completion_server.engine.decode import Limits
from completion_server.engine.prefix_cache import CachedSequence
from completion_server.engine.sampling import SampledToken, Sampler
from completion_server.engine.writing import Writing

_PATIENCE = 0.25
_LEAST_PATIENCE = 2
"""How many passes the others are given when the first has ended: a share of its length, and some."""


def decode_branches(
    sequence: CachedSequence,
    branches: Sequence[tuple[Writing, SampledToken]],
    sampler: Sampler,
    max_new_tokens: int,
    limits: Limits,
) -> tuple[int, int]:
    """Write all of ``branches``, each from its first token on; the number of passes, and of tokens written.

    The first is the one that matters: soon after it has ended the others end as well, whole or not. ``sequence``
    holds the prompt, before and after.
    """
    start = sequence.num_tokens
    owners: list[int] = []
    growing = [(number, writing, first) for number, (writing, first) in enumerate(branches)]
    num_passes = num_tokens = 0
    last_length = max_new_tokens
    try:
        for length in range(1, max_new_tokens + 1):
            num_tokens += len(growing)
            is_first_growing = bool(growing) and growing[0][0] == 0
            growing = [each for each in growing if not each[1].add(each[2])]
            if is_first_growing and not (growing and growing[0][0] == 0):
                last_length = min(max_new_tokens, length + int(_PATIENCE * length) + _LEAST_PATIENCE)
            if (limit := limits.exceeded()) is not None:
                for _, writing, _ in growing:
                    writing.reason = limit
                return num_passes, num_tokens
            if not growing or length == last_length or sequence.branch_room < len(growing):
                return num_passes, num_tokens
            new_owners = [number for number, _, _ in growing]
            owners += new_owners
            visible = np.array(owners)[np.newaxis, :] == np.array(new_owners)[:, np.newaxis]
            token_ids = [token.token_id for _, _, token in growing]
            logits = sequence.feed_branches(token_ids, [start + length - 1] * len(growing), visible)
            num_passes += 1
            growing = [
                (number, writing, sampler.sample(row))
                for (number, writing, _), row in zip(growing, logits, strict=True)
            ]
    finally:
        sequence.truncate(start)
    return num_passes, num_tokens
