"""Logits to one token. Pure but for the random generator that a seed fixes.

Nucleus sampling: Holtzman et al. 2020 (arXiv 1904.09751).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from completion_server.model import SamplingParams


@dataclass(frozen=True)
class SampledToken:
    """A token and its natural log-probability under the model's own, unchanged distribution."""

    token_id: int
    logprob: float


class Sampler:
    """Chooses tokens as ``params`` say; with a seed, the same logits give the same tokens."""

    def __init__(self, params: SamplingParams) -> None:
        self._params = params
        self._generator = torch.Generator()
        if params.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(params.seed)

    def sample(self, logits: torch.Tensor, allowed: Sequence[int] | None = None) -> SampledToken:
        """One token out of ``logits`` (V,), only among ``allowed`` ids when given."""
        candidates = as_ids(allowed)
        scores = logits if candidates is None else logits[candidates]
        index = self._choose(scores)
        token_id = index if candidates is None else int(candidates[index])
        return SampledToken(token_id, float(logits[token_id] - torch.logsumexp(logits, dim=-1)))

    def _choose(self, scores: torch.Tensor) -> int:
        if self._params.temperature == 0:
            return int(scores.argmax())
        probabilities = filter_probabilities(scores, self._params)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))


def filter_probabilities(scores: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    """Probabilities (V,) after temperature, then top-k, then top-p; what is cut off is 0, the rest sums to 1."""
    scores = scores / params.temperature
    if 0 < params.top_k < len(scores):
        smallest_kept = torch.topk(scores, params.top_k).values[-1]
        scores = scores.masked_fill(scores < smallest_kept, float("-inf"))
    probabilities = torch.softmax(scores, dim=-1)
    if params.top_p < 1:
        ordered, order = probabilities.sort(descending=True)
        # A token is kept while the mass before it is below top_p, so at least one always is.
        dropped = ordered.cumsum(-1) - ordered >= params.top_p
        probabilities = probabilities.index_fill(0, order[dropped], 0.0)
    return probabilities / probabilities.sum()


def best_tokens(logits: torch.Tensor, num_tokens: int, allowed: Sequence[int] | None = None) -> list[int]:
    """The ``num_tokens`` most probable token ids, best first, only among ``allowed`` when given."""
    candidates = as_ids(allowed)
    scores = logits if candidates is None else logits[candidates]
    best = torch.topk(scores, min(num_tokens, len(scores))).indices
    return [int(index) for index in (best if candidates is None else candidates[best])]


def as_ids(allowed: Sequence[int] | None) -> torch.Tensor | None:
    """Token ids as a tensor; an int64 ``array`` is read in place (tens of thousands of ids are common)."""
    if isinstance(allowed, array) and allowed.typecode == "q" and len(allowed):
        return torch.frombuffer(allowed, dtype=torch.long)
    return None if allowed is None else torch.as_tensor(allowed, dtype=torch.long)
