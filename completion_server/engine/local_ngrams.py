"""An n-gram model of the text at hand, mixed into the language model's distribution token by token.

Code repeats what stands elsewhere in the file and its neighbours, more than the prompt of a small model has room
for. Here the longest end of the text so far that also stands there votes for what followed it. Interpolation as in
Hellendoorn & Devanbu 2017 (nested cache models) and Liu et al. 2024 (infini-gram, arXiv 2401.17377); the weight
is a logistic function of how long the match is, how unanimous, and how sure the model is by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from completion_server.engine.sampling import SampledToken, Sampler, as_ids, log_sum_exp
from completion_server.model import MAX_MATCH, TEXT_END, LocalText, Logits

_MIN_MATCH = 2
_LONG_MATCH = 8
_LONGER_COUNTS = 2.0
"""How many times as much a match counts as one that is a token shorter."""

_WEIGHTS = (-3.31, 1.43, 0.05, 1.52, -1.84)
"""Of ``Vote.features``, for the log odds of the n-gram model's share; from ``scripts/fit_local_ngrams.py``."""


@dataclass(frozen=True)
class Vote:
    """Tokens (K,) that followed before, their probabilities (K,), and the longest match in tokens."""

    token_ids: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    length: int

    def features(self, model_confidence: float) -> tuple[float, ...]:
        """What its share goes by; ``model_confidence`` is the probability of the model's own first choice."""
        is_long = float(self.length >= _LONG_MATCH)
        return 1.0, math.log(self.length), is_long, float(self.probabilities.max()), model_confidence


class LocalNgrams:
    """What followed before in ``local``, at the end of a text that grows."""

    def __init__(self, local: LocalText, path_token_ids: Sequence[int] = ()) -> None:
        """``path_token_ids`` come after the text before the cursor, where healing has taken them."""
        self._tokens = np.frombuffer(local.token_ids, np.int32)
        self._recent = [*local.preceding_token_ids, *path_token_ids][-MAX_MATCH:]

    def append(self, token_id: int) -> None:
        """One more token of the text. Changes nothing in place: a shallow copy goes on in another way."""
        self._recent = [*self._recent[1 - MAX_MATCH :], token_id]

    def vote(self) -> Vote | None:
        """What came next wherever the text's end stands, longer matches counting more; None without a match."""
        ends, lengths = self._matches()
        if not len(ends):
            return None
        longest = int(lengths.max())
        token_ids, group = np.unique(self._tokens[ends + 1], return_inverse=True)
        weights = np.bincount(group, _LONGER_COUNTS ** (lengths - longest))
        return Vote(token_ids.astype(np.int64), weights / weights.sum(), longest)

    def continuation(self, num_tokens: int, min_match: int) -> Sequence[int]:
        """The ``num_tokens`` tokens that followed the longest match of at least ``min_match``, or none."""
        ends, lengths = self._matches()
        if not len(ends) or lengths.max() < min_match:
            return ()
        end = int(ends[len(lengths) - 1 - int(lengths[::-1].argmax())])
        following = self._tokens[end + 1 : end + 1 + num_tokens]
        is_whole = len(following) == num_tokens and not (following == TEXT_END).any()
        return tuple(following.tolist()) if is_whole else ()

    def _matches(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where the text's end stands too and something follows: its last token's places, and lengths."""
        recent, tokens = self._recent, self._tokens
        if len(recent) < _MIN_MATCH:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        ends = np.flatnonzero(tokens[:-1] == recent[-1])
        lengths = np.ones(len(ends), np.int64)
        growing = np.arange(len(ends))
        for back in range(1, len(recent)):
            places = ends[growing] - back
            growing = growing[(places >= 0) & (tokens[places] == recent[-1 - back])]
            if not len(growing):
                break
            lengths[growing] += 1
        counts = (lengths >= _MIN_MATCH) & (tokens[ends + 1] != TEXT_END)
        return ends[counts], lengths[counts]

    def mix(self, logits: Logits, allowed: Sequence[int] | None = None) -> Logits:
        """Log-probabilities (V,) of both together; ``logits`` (V,) as they are where nothing matches.

        Where only ``allowed`` tokens may follow, their common probability stays what it is.
        """
        vote = self.vote()
        candidates = as_ids(allowed)
        if vote is not None and candidates is not None:
            vote = _only(vote, candidates)
        if vote is None:
            return logits
        mixed: npt.NDArray[np.float64] = (logits - log_sum_exp(logits)).astype(np.float64)
        free = slice(None) if candidates is None else candidates
        log_mass = 0.0 if candidates is None else float(log_sum_exp(mixed[candidates]))
        share = _share(vote, math.exp(float(mixed[free].max()) - log_mass))
        mixed[free] += math.log1p(-share)
        votes = np.log(vote.probabilities) + math.log(share) + log_mass
        mixed[vote.token_ids] = np.logaddexp(mixed[vote.token_ids], votes)
        return mixed


class LocalSampler:
    """Chooses the tokens of one generation from ``sampler``'s distribution mixed with that of ``ngrams``."""

    def __init__(self, sampler: Sampler, ngrams: LocalNgrams) -> None:
        self._sampler = sampler
        self._ngrams = ngrams
        self.num_decided = 0
        """Tokens that the model by itself would not have put first."""

    def sample(self, logits: Logits) -> SampledToken:
        token = self._sampler.sample(self._ngrams.mix(logits))
        self._ngrams.append(token.token_id)
        self.num_decided += token.token_id != int(logits.argmax())
        return token


def _share(vote: Vote, model_confidence: float) -> float:
    """The n-gram model's part of the mixture, between 0 and 1."""
    log_odds = sum(weight * value for weight, value in zip(_WEIGHTS, vote.features(model_confidence), strict=True))
    return 1 / (1 + math.exp(-log_odds))


def _only(vote: Vote, allowed: npt.NDArray[np.int64]) -> Vote | None:
    is_allowed = np.isin(vote.token_ids, allowed)
    if not is_allowed.any():
        return None
    probabilities = vote.probabilities[is_allowed]
    return Vote(vote.token_ids[is_allowed], probabilities / probabilities.sum(), vote.length)
