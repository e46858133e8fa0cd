"""The two phases of generation as small steps: prefill in chunks, decode as a generator.

A caller stops decoding by not asking for the next token. Deadline and cancellation are looked at between
forward passes, never inside one. Knows token ids only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from completion_server.engine.lookup import Lookup
from completion_server.engine.prefix_cache import CachedSequence
from completion_server.engine.sampling import SampledToken, TokenSource
from completion_server.model import Logits
from completion_server.request import CancellationToken, Deadline, FinishReason

_SMALLEST_CHUNK, _LARGEST_CHUNK = 16, 512
_MAX_DRAFT = 15  # with the token before, 16 in one pass: about 1.4 times the cost of one token


@dataclass(frozen=True)
class Limits:
    """What can end a generation from outside: the wall clock, or someone who no longer wants it."""

    deadline: Deadline
    cancellation: CancellationToken

    def exceeded(self) -> FinishReason | None:
        if self.cancellation.is_cancelled:
            return FinishReason.CANCELLED
        return FinishReason.DEADLINE if self.deadline.has_passed else None


class ChunkSizer:
    """How many tokens fit one prefill chunk of about ``target_ms``, learned from the chunks before.

    Small chunks make cancelling quick; large ones make prefill fast. The first guess is careful.
    """

    def __init__(self, target_ms: float, first_size: int = 32) -> None:
        self.target_ms = target_ms
        self._size = float(first_size)

    @property
    def size(self) -> int:
        return round(min(max(self._size, _SMALLEST_CHUNK), _LARGEST_CHUNK))

    def size_within(self, remaining_ms: float) -> int:
        """``size``, or what there is time for; 0 when there is none even for half of the smallest chunk."""
        num_tokens = self.num_within(remaining_ms)
        if num_tokens < 0.5 * _SMALLEST_CHUNK:
            return 0
        return max(int(min(self.size, num_tokens)), _SMALLEST_CHUNK)

    def num_within(self, elapsed_ms: float) -> float:
        """How many tokens can be fed in so long."""
        return self._size * elapsed_ms / self.target_ms if self.target_ms > 0 else math.inf

    def learn(self, num_tokens: int, elapsed_ms: float) -> None:
        """Move half-way to what the last chunk suggests; a chunk too small to tell is ignored."""
        if num_tokens >= _SMALLEST_CHUNK and elapsed_ms > 0:
            self._size += 0.5 * (num_tokens * self.target_ms / elapsed_ms - self._size)
            self._size = min(max(self._size, 1.0), _LARGEST_CHUNK)


@dataclass(frozen=True)
class Prefill:
    """Outcome of ``prefill``. ``logits`` (num_logits, V) is None when a limit came first."""

    logits: Logits | None
    num_fed_tokens: int
    stopped_by: FinishReason | None = None


def prefill(
    sequence: CachedSequence, token_ids: Sequence[int], num_logits: int, limits: Limits, sizer: ChunkSizer
) -> Prefill:
    """Feed what ``sequence`` does not hold of ``token_ids``, chunk by chunk.

    ``sequence`` must hold a prefix of ``token_ids``. Logits are wanted after the last ``num_logits`` (>= 0)
    tokens, so that many are always fed, cached or not. Every finished chunk stays in ``sequence``.
    """
    sequence.truncate(min(sequence.num_tokens, len(token_ids) - num_logits))
    start = sequence.num_tokens
    logits = None
    while sequence.num_tokens < len(token_ids):
        if (reason := limits.exceeded()) is not None:
            return Prefill(None, sequence.num_tokens - start, reason)
        size = sizer.size_within(limits.deadline.remaining_ms)
        if size == 0:
            return Prefill(None, sequence.num_tokens - start, FinishReason.DEADLINE)
        end = _chunk_end(sequence.num_tokens, len(token_ids), num_logits, size)
        chunk = token_ids[sequence.num_tokens : end]
        began = time.perf_counter()
        logits = sequence.feed(chunk, num_logits if end == len(token_ids) else 0)
        sizer.learn(len(chunk), (time.perf_counter() - began) * 1000)
    return Prefill(logits, sequence.num_tokens - start)


def _chunk_end(start: int, total: int, num_logits: int, size: int) -> int:
    """End of the chunk at ``start``; the last one is never cut short of the tokens whose logits are wanted."""
    end = min(start + max(size, num_logits), total)
    return total - num_logits if 0 < total - end < num_logits else end


class Draft:
    """A guess at the tokens to come, first token included, and what became of it.

    Verified by the model and not trusted (Leviathan et al. 2023, arXiv 2211.17192): a token counts only when the
    sampler, given the model's own logits at that place, chooses the same one. So the output is what it would be
    without the draft, for greedy and for sampled decoding alike.
    """

    def __init__(self, token_ids: Sequence[int] = ()) -> None:
        self._token_ids = token_ids
        self.num_passes = 0
        self.num_proposed = 0
        self.num_accepted = 0

    def after(self, token: SampledToken, position: int, limit: int) -> Sequence[int]:
        """Up to ``limit`` tokens that may follow ``token``, the one at ``position``; none once it was wrong."""
        if position >= len(self._token_ids) or self._token_ids[position] != token.token_id:
            self._token_ids = ()
            return ()
        return self._token_ids[position + 1 : position + 1 + min(limit, _MAX_DRAFT)]


class Guesser:
    """Guesses at the tokens of one generation: from ``draft``, and where it has none from ``lookup``."""

    def __init__(self, draft: Draft, lookup: Lookup | None = None) -> None:
        self.draft = draft
        self._lookup = lookup
        self._num_looked_up = 0
        self._num_accepted = 0

    def after(self, token: SampledToken, position: int, limit: int) -> Sequence[int]:
        """Up to ``limit`` tokens that may follow ``token``, the one at ``position``."""
        guess = self.draft.after(token, position, limit)
        self._num_looked_up = self._num_accepted = 0
        if self._lookup is not None:
            self._lookup.append(token.token_id)
            if not guess:
                guess = self._lookup.propose(limit)
                self._num_looked_up = len(guess)
        self.draft.num_proposed += len(guess)
        return guess

    def accept(self, token_id: int) -> None:
        """The next guessed token was right."""
        self.draft.num_accepted += 1
        self._num_accepted += 1
        if self._lookup is not None:
            self._lookup.append(token_id)

    def settle(self) -> None:
        """No more of the last guess was right."""
        if self._lookup is not None and self._num_looked_up:
            self._lookup.gauge.learn_outcome(self._num_accepted)


def decode(
    sequence: CachedSequence,
    first: SampledToken,
    sampler: TokenSource,
    max_new_tokens: int,
    draft: Draft,
    lookup: Lookup | None = None,
) -> Iterator[SampledToken]:
    """Yield ``first``, then one token or several per forward pass, up to ``max_new_tokens`` in all.

    Guesses come from ``draft``, and where it has none from ``lookup``.

    A token is fed only when the next one is asked for. However the generator is left, ``sequence`` ends with the
    last token but one that was yielded, or before.
    """
    start, count, token = sequence.num_tokens, 0, first
    guesser = Guesser(draft, lookup)
    try:
        while True:
            yield token
            count += 1
            room = min(max_new_tokens - count, sequence.room)
            if room <= 0:
                return
            guess = guesser.after(token, count - 1, room - 1)
            logits = sequence.feed([token.token_id, *guess], len(guess) + 1)
            draft.num_passes += 1
            token = sampler.sample(logits[0])
            for index, guessed in enumerate(guess):
                if guessed != token.token_id:
                    break
                guesser.accept(guessed)
                yield token
                count += 1
                token = sampler.sample(logits[index + 1])
            if lookup is not None:
                lookup.gauge.learn_pass(len(guess) + 1, sequence.last_pass_ms)
            guesser.settle()
            sequence.truncate(start + count)
    finally:
        sequence.truncate(min(sequence.num_tokens, start + count))
