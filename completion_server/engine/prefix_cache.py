"""Which tokens a KV cache holds, and the longest stored prefix of a new prompt.

A sequence is owned by one side at a time: ``acquire`` takes it out, ``release`` puts it back, nothing is
copied. Least recently used sequences go first, counted in bytes. Used by one thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from completion_server.errors import DamagedModelError
from completion_server.model import BranchingLM, CausalLM, KVCache, Logits

# A stored sequence is continued when it shares at least this much with the prompt, in tokens and as a share of
# what it holds. With less, cutting it back would throw away more (another document's prefill) than it saves.
_MIN_SHARED_TOKENS = 16
_MIN_SHARED_PART = 0.25


@dataclass(frozen=True)
class HeldTokens:
    """What a prefix cache held at one moment, for threads that may not touch it."""

    sequences: tuple[tuple[int, ...], ...] = ()

    def num_held(self, token_ids: Sequence[int]) -> int:
        """How many of the first ``token_ids`` ``PrefixCache.acquire`` would have found."""
        return find_best(enumerate(self.sequences), token_ids)[1]


def find_best(sequences: Iterable[tuple[int, Sequence[int]]], token_ids: Sequence[int]) -> tuple[int | None, int]:
    """The key of the sequence to continue ``token_ids`` from, and how much is shared; (None, 0) for a new one.

    ``sequences`` are keys and token ids, those used last at the end.
    """
    best_key, best_shared = None, 0
    for key, held in sequences:
        shared = num_shared(held, token_ids)
        is_worth_it = shared >= max(_MIN_SHARED_PART * len(held), 1)
        is_worth_it = is_worth_it and shared >= min(_MIN_SHARED_TOKENS, len(held), len(token_ids))
        if is_worth_it and shared > best_shared:
            best_key, best_shared = key, shared
    return best_key, best_shared


def num_shared(held: Sequence[int], token_ids: Sequence[int]) -> int:
    """Length of the longest common prefix, in tokens."""
    limit = min(len(held), len(token_ids))
    if tuple(held[:limit]) == tuple(token_ids[:limit]):
        return limit
    return next(index for index in range(limit) if held[index] != token_ids[index])


class CachedSequence:
    """Token ids and the KV cache that holds exactly them; the two never drift apart."""

    def __init__(self, model: CausalLM) -> None:
        self._model = model
        self._kv_cache: KVCache = model.new_kv_cache()
        self._token_ids: list[int] = []
        self.last_pass_ms = 0.0
        self.longest_pass_ms = 0.0
        """Longest forward pass since ``acquire``: what a deadline or a cancel may have had to wait for."""
        self.num_passes = 0
        self.num_fed_tokens = 0
        """Forward passes, and the tokens they were given, since ``acquire``."""

    @property
    def num_tokens(self) -> int:
        return len(self._token_ids)

    @property
    def num_bytes(self) -> int:
        return self._kv_cache.num_bytes

    @property
    def room(self) -> int:
        """Tokens that still fit."""
        return self._model.max_context - len(self._token_ids)

    @property
    def token_ids(self) -> Sequence[int]:
        return self._token_ids

    def num_shared(self, token_ids: Sequence[int]) -> int:
        """Length of the longest common prefix with ``token_ids``, in tokens."""
        return num_shared(self._token_ids, token_ids)

    def truncate(self, num_tokens: int) -> None:
        self._kv_cache.truncate(num_tokens)
        del self._token_ids[num_tokens:]

    def feed(self, token_ids: Sequence[int], num_logits: int) -> Logits:
        """One forward pass: append ``token_ids``; logits (num_logits, V) after the last of them."""
        began = time.perf_counter()
        logits = _finite(self._model.forward(token_ids, self._kv_cache, num_logits))
        self._note_pass(began, len(token_ids))
        self._token_ids.extend(token_ids)
        return logits

    @property
    def can_branch(self) -> bool:
        return isinstance(self._model, BranchingLM)

    @property
    def branch_room(self) -> int:
        """Tokens of branches that still fit."""
        return self._model.max_context - self._kv_cache.num_tokens

    def feed_branches(
        self, token_ids: Sequence[int], positions: Sequence[int], visible: npt.NDArray[np.bool_]
    ) -> Logits:
        """One forward pass over tokens of several branches, as ``BranchingLM.forward_branches``.

        The tokens of branches do not belong to the sequence: ``truncate`` has to follow before anything else.
        """
        assert isinstance(self._model, BranchingLM)
        began = time.perf_counter()
        logits = _finite(self._model.forward_branches(token_ids, self._kv_cache, positions, visible))
        self._note_pass(began, len(token_ids))
        return logits

    def _note_pass(self, began: float, num_tokens: int) -> None:
        self.last_pass_ms = (time.perf_counter() - began) * 1000
        self.longest_pass_ms = max(self.longest_pass_ms, self.last_pass_ms)
        self.num_passes += 1
        self.num_fed_tokens += num_tokens


class PrefixCache:
    """Sequences at rest, up to ``max_bytes`` of keys and values."""

    def __init__(self, model: CausalLM, max_bytes: int) -> None:
        self._model = model
        self._sequences = _new_lru(max_bytes)
        self._next_key = 0
        self._epoch = 0  # counts calls of ``clear``: what is in use then is forgotten afterwards

    @property
    def num_bytes(self) -> int:
        return sum(sequence.num_bytes for sequence in self._sequences.values())

    @property
    def max_bytes(self) -> int:
        """The budget."""
        return int(self._sequences.maxsize)

    @property
    def num_sequences(self) -> int:
        return len(self._sequences)

    @contextmanager
    def acquire(self, token_ids: Sequence[int]) -> Iterator[CachedSequence]:
        """The stored sequence to continue ``token_ids`` from, or a new one; stored again on leaving.

        Cut back to the shared prefix. However the block is left, what was fed in it is kept.
        """
        sequence = self._take_best(token_ids)
        epoch = self._epoch
        sequence.longest_pass_ms = 0.0
        sequence.num_passes = sequence.num_fed_tokens = 0
        try:
            yield sequence
        finally:
            if epoch == self._epoch:
                self._store(sequence)

    def num_held(self, token_ids: Sequence[int]) -> int:
        """How many of the first ``token_ids`` ``acquire`` would find; changes nothing."""
        _, num_shared = self._find_best(token_ids)
        return num_shared

    def snapshot(self) -> HeldTokens:
        """What is at rest now."""
        return HeldTokens(tuple(tuple(sequence.token_ids) for sequence in list(self._sequences.values())))

    def clear(self) -> None:
        """Forget everything, what is in use now included once it is given back."""
        self._sequences.clear()
        self._epoch += 1

    def resize(self, max_bytes: int) -> None:
        """Change the budget; what no longer fits goes, oldest first."""
        sequences = list(self._sequences.values())
        self._sequences = _new_lru(max_bytes)
        for sequence in sequences:
            self._store(sequence)

    def _find_best(self, token_ids: Sequence[int]) -> tuple[int | None, int]:
        # Looking at an entry makes it recently used; looking at all of them, oldest first, changes no order.
        sequences = list(self._sequences.items())
        return find_best(((key, sequence.token_ids) for key, sequence in sequences), token_ids)

    def _take_best(self, token_ids: Sequence[int]) -> CachedSequence:
        best_key, best_shared = self._find_best(token_ids)
        if best_key is None:
            return CachedSequence(self._model)
        sequence = self._sequences.pop(best_key)
        sequence.truncate(best_shared)
        return sequence

    def _store(self, sequence: CachedSequence) -> None:
        if sequence.num_tokens == 0 or sequence.num_bytes > self._sequences.maxsize:
            return
        self._next_key += 1
        self._sequences[self._next_key] = sequence


def _new_lru(max_bytes: int) -> LRUCache[int, CachedSequence]:
    return LRUCache(max(max_bytes, 1), getsizeof=lambda sequence: max(sequence.num_bytes, 1))


def _finite(logits: Logits) -> Logits:
    """``logits``, if all are numbers. The largest is none where any is none, and finding it takes microseconds."""
    if logits.size and not np.isfinite(logits.max()):
        raise DamagedModelError(
            "the model computes no numbers (NaN or infinity), so its files are damaged or its weight type does not"
            " suit it: run `completion-server models pull NAME --force`, or set model.dtype to float32"
        )
    return logits
