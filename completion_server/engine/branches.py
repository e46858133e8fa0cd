"""Several greedy generations that share a prompt, decoded as one: each forward pass feeds tokens of all of them.

The branches lie one in the other in a single KV cache, and every token sees the prompt and its own branch only
(the attention mask of SpecInfer, Miao et al. 2023, arXiv 2305.09781). A pass of a few tokens costs little more
than a pass of one, so three alternatives cost little more than one; nothing is copied. Each branch has guesses of
its own, as a generation by itself has; those that were wrong stay in the cache, seen by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from completion_server.engine.decode import Guesser, Limits
from completion_server.engine.prefix_cache import CachedSequence
from completion_server.engine.sampling import SampledToken, TokenSource
from completion_server.engine.writing import Writing
from completion_server.model import Logits

_NOBODY = -1


@dataclass
class Branch:
    """One of the alternatives as it grows; ``token`` is the one to feed next, guesses come as in ``decode``."""

    number: int
    writing: Writing
    token: SampledToken
    sampler: TokenSource
    guesser: Guesser
    length: int = 0
    """Tokens written."""
    is_growing: bool = True

    def write(self, max_new_tokens: int) -> None:
        """Take ``token`` into the text; whether that was the last one is in ``is_growing``."""
        self.length += 1
        self.is_growing = not self.writing.add(self.token) and self.length < max_new_tokens


def decode_branches(
    sequence: CachedSequence,
    branches: Sequence[Branch],
    max_new_tokens: int,
    limits: Limits,
) -> int:
    """Write all of ``branches``, each from its first token on; the number of passes.

    All of them go on until each has ended or a limit is reached. ``sequence`` holds the prompt, before and after.
    """
    tree = _Tree(sequence)
    num_passes = 0
    try:
        for branch in branches:
            branch.write(max_new_tokens)
        while growing := [branch for branch in branches if branch.is_growing]:
            if (limit := limits.exceeded()) is not None:
                for branch in growing:
                    branch.writing.reason = limit
                break
            room = sequence.branch_room // len(growing)
            if room < 1:
                break
            _step(tree, growing, max_new_tokens, room)
            num_passes += 1
    finally:
        tree.cut()
    return num_passes


class _Tree:
    """The branches' tokens in the KV cache, behind the prompt, and whose they are."""

    def __init__(self, sequence: CachedSequence) -> None:
        self._sequence = sequence
        self._start = sequence.num_tokens
        self._owners: npt.NDArray[np.int64] = np.empty(0, np.int64)

    @property
    def num_tokens(self) -> int:
        return len(self._owners)

    def feed(self, branches: Sequence[Branch], guesses: Sequence[Sequence[int]]) -> Logits:
        """One pass over the token of each of ``branches`` and the guesses that follow it; logits after each."""
        token_ids: list[int] = []
        positions: list[int] = []
        new_owners: list[int] = []
        for branch, guess in zip(branches, guesses, strict=True):
            token_ids += [branch.token.token_id, *guess]
            first = self._start + branch.length - 1
            positions += range(first, first + 1 + len(guess))
            new_owners += [branch.number] * (1 + len(guess))
        self._owners = np.concatenate([self._owners, np.array(new_owners, np.int64)])
        places = np.arange(len(self._owners))
        is_own = self._owners[np.newaxis, :] == np.array(new_owners)[:, np.newaxis]
        is_before = places[np.newaxis, :] <= places[-len(new_owners) :, np.newaxis]
        return self._sequence.feed_branches(token_ids, positions, is_own & is_before)

    def hide(self, begin: int, end: int) -> None:
        """Nobody looks at these tokens any more."""
        self._owners[begin:end] = _NOBODY

    def cut(self) -> None:
        """Take everything off the prompt again."""
        self._sequence.truncate(self._start)


def _step(tree: _Tree, growing: Sequence[Branch], max_new_tokens: int, room: int) -> None:
    """One forward pass over the next token of each of ``growing`` with its guesses, ``room`` for each at most."""
    guesses = [
        branch.guesser.after(branch.token, branch.length - 1, min(max_new_tokens - branch.length, room) - 1)
        for branch in growing
    ]
    place = tree.num_tokens
    logits = tree.feed(growing, guesses)
    row = 0
    for branch, guess in zip(growing, guesses, strict=True):
        end = row + 1 + len(guess)
        num_right = _verify(branch, guess, logits[row:end], max_new_tokens)
        tree.hide(place + row + 1 + num_right, place + end)
        row = end
        branch.guesser.settle()


def _verify(branch: Branch, guess: Sequence[int], logits: Logits, max_new_tokens: int) -> int:
    """Write what the model makes of ``guess``, and one token more; how much of it was right.

    ``logits`` (len(guess) + 1, V) come after the branch's token and after each guessed one.
    """
    branch.token = branch.sampler.sample(logits[0])
    branch.write(max_new_tokens)
    for index, guessed in enumerate(guess):
        if guessed != branch.token.token_id or not branch.is_growing:
            return index
        branch.guesser.accept(guessed)
        branch.token = branch.sampler.sample(logits[index + 1])
        branch.write(max_new_tokens)
    return len(guess)
