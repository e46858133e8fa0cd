"""Logits to one token. Pure but for the random generator that a seed fixes.

Nucleus sampling: Holtzman et al. 2020 (arXiv 1904.09751).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from completion_server.model import Logits, SamplingParams


@dataclass(frozen=True)
class SampledToken:
    """A token and its natural log-probability under the distribution that it was chosen from, unfiltered."""

    token_id: int
    logprob: float


class TokenSource(Protocol):
    """Chooses the tokens of one generation, one after the other."""

    def sample(self, logits: Logits) -> SampledToken: ...


class Sampler:
    """Chooses tokens as ``params`` say; with a seed, the same logits give the same tokens."""

    def __init__(self, params: SamplingParams) -> None:
        self._params = params
        self._generator = np.random.default_rng(params.seed)

    def sample(self, logits: Logits, allowed: Sequence[int] | None = None) -> SampledToken:
        """One token out of ``logits`` (V,), only among ``allowed`` ids when given."""
        candidates = as_ids(allowed)
        index = self._choose(logits if candidates is None else logits[candidates])
        return scored(logits, index if candidates is None else int(candidates[index]))

    def _choose(self, scores: Logits) -> int:
        if self._params.temperature == 0:
            return int(scores.argmax())
        cumulated = np.cumsum(filter_probabilities(scores, self._params))
        # The first token whose share of the line from 0 to 1 holds a point taken at random.
        return int(np.searchsorted(cumulated, self._generator.random() * cumulated[-1], side="right"))


def filter_probabilities(scores: Logits, params: SamplingParams) -> npt.NDArray[np.float64]:
    """Probabilities (V,) after temperature, then top-k, then top-p; what is cut off is 0, the rest sums to 1."""
    scores = scores.astype(np.float64) / params.temperature
    if 0 < params.top_k < len(scores):
        smallest_kept = np.partition(scores, -params.top_k)[-params.top_k]
        scores[scores < smallest_kept] = -np.inf
    probabilities = np.exp(scores - log_sum_exp(scores))
    if params.top_p < 1:
        order = np.argsort(-probabilities, kind="stable")
        ordered = probabilities[order]
        # A token is kept while the mass before it is below top_p, so at least one always is.
        probabilities[order[np.cumsum(ordered) - ordered >= params.top_p]] = 0.0
    normalised: npt.NDArray[np.float64] = probabilities / probabilities.sum()
    return normalised


def best_tokens(logits: Logits, num_tokens: int, allowed: Sequence[int] | None = None) -> list[int]:
    """The ``num_tokens`` most probable token ids, best first, only among ``allowed`` when given."""
    candidates = as_ids(allowed)
    scores = logits if candidates is None else logits[candidates]
    num_tokens = min(num_tokens, len(scores))
    best = np.argpartition(scores, -num_tokens)[-num_tokens:]
    best = best[np.argsort(-scores[best], kind="stable")]
    return [int(index) for index in (best if candidates is None else candidates[best])]


def scored(logits: Logits, token_id: int) -> SampledToken:
    """``token_id`` with its log-probability under ``logits`` (V,)."""
    return SampledToken(token_id, float(logits[token_id] - log_sum_exp(logits)))


def log_sum_exp(scores: Logits) -> npt.NDArray[Any]:
    """Logarithm of the sum of ``exp(scores)`` over the last axis, which may hold nothing but -inf."""
    highest = scores.max(axis=-1, keepdims=True)
    highest = np.where(np.isfinite(highest), highest, 0)
    with np.errstate(divide="ignore"):
        total: npt.NDArray[Any] = np.log(np.exp(scores - highest).sum(axis=-1)) + highest[..., 0]
    return total


def as_ids(allowed: Sequence[int] | None) -> npt.NDArray[np.int64] | None:
    """Token ids as an array; an int64 ``array`` is read in place (tens of thousands of ids are common)."""
    if isinstance(allowed, array) and allowed.typecode == "q" and len(allowed):
        return np.frombuffer(allowed, dtype=np.int64)
    return None if allowed is None else np.asarray(allowed, dtype=np.int64)
