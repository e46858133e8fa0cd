"""Drafts from the text at hand: what followed the last time that the same three tokens came.

Code repeats itself, so a copy of what stands before or after the cursor is often what the model writes next.
Prompt look-up decoding; Yang et al. 2023, "Inference with Reference" (arXiv 2304.04487). The model verifies every
token in one forward pass, so the output is what it would be without.
"""

from __future__ import annotations

from collections.abc import Sequence

from completion_server.engine.local_ngrams import LocalNgrams

_NGRAM = 3
_NUM_PROPOSED = 4
_MEMORY = 0.95  # weight of the past in running means
_TRY_AGAIN_AFTER = 24  # opportunities left out before one is taken to see whether it pays by now


class LookupGauge:
    """Whether look-up pays on this machine and text: what it has saved so far against what it costs."""

    def __init__(self) -> None:
        self._single_ms: float | None = None
        self._several_ms: float | None = None
        self._num_accepted = float(_NUM_PROPOSED)  # hopeful, so that it is tried
        self._num_left_out = 0

    def learn_pass(self, num_tokens: int, elapsed_ms: float) -> None:
        """Take in how long a forward pass of ``num_tokens`` took; only those that matter here count."""
        if num_tokens == 1:
            self._single_ms = _mean(self._single_ms, elapsed_ms)
        elif num_tokens == _NUM_PROPOSED + 1:
            self._several_ms = _mean(self._several_ms, elapsed_ms)

    def learn_outcome(self, num_accepted: int) -> None:
        """Take in how many proposed tokens were right."""
        self._num_accepted = _mean(self._num_accepted, num_accepted)

    def allows(self) -> bool:
        """Whether the next opportunity is taken."""
        if self._single_ms is None or self._several_ms is None or self._pays(self._single_ms, self._several_ms):
            return True
        self._num_left_out += 1
        if self._num_left_out < _TRY_AGAIN_AFTER:
            return False
        self._num_left_out = 0
        return True

    def _pays(self, single_ms: float, several_ms: float) -> bool:
        return self._num_accepted * single_ms > several_ms - single_ms


class Lookup:
    """The tokens so far, others to copy from, and every place where three of them come together."""

    def __init__(
        self,
        elsewhere: Sequence[int],
        token_ids: Sequence[int],
        gauge: LookupGauge,
        ngrams: LocalNgrams | None = None,
    ) -> None:
        """``token_ids`` are what the generation continues; ``elsewhere`` is only copied from.

        ``ngrams``, at the same place, are asked first: what they find is what they also vote for.
        """
        self.gauge = gauge
        self._ngrams = ngrams
        self._token_ids = [*elsewhere, *token_ids]
        self._start = len(elsewhere)
        self._next_index: dict[tuple[int, ...], int] = {}
        for end in range(_NGRAM, len(self._token_ids)):
            self._next_index[tuple(self._token_ids[end - _NGRAM : end])] = end

    def append(self, token_id: int) -> None:
        """One more token of the generation."""
        if self._ngrams is not None:
            self._ngrams.append(token_id)
        if len(self._token_ids) >= _NGRAM:
            self._next_index[tuple(self._token_ids[-_NGRAM:])] = len(self._token_ids)
        self._token_ids.append(token_id)

    def propose(self, limit: int) -> Sequence[int]:
        """What may follow the last token: ``_NUM_PROPOSED`` tokens, or none."""
        if limit < _NUM_PROPOSED or len(self._token_ids) - self._start < _NGRAM:
            return ()
        found = self._find()
        return found if found and self.gauge.allows() else ()

    def _find(self) -> Sequence[int]:
        if self._ngrams is not None and (found := self._ngrams.continuation(_NUM_PROPOSED, _NGRAM)):
            return found
        index = self._next_index.get(tuple(self._token_ids[-_NGRAM:]))
        if index is None or len(self._token_ids) - index < _NUM_PROPOSED:
            return ()
        return tuple(self._token_ids[index : index + _NUM_PROPOSED])


def _mean(before: float | None, value: float) -> float:
    return value if before is None else _MEMORY * before + (1 - _MEMORY) * value
