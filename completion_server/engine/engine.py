"""Prompt in, generations out: prefix cache, chunked prefill, healing, decode and stop rules in one place.

Lives on one thread. Sees token ids and the text they spell; knows nothing of documents or editors.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from completion_server.config import Settings
from completion_server.engine.branches import Branch, decode_branches
from completion_server.engine.decode import ChunkSizer, Draft, Guesser, Limits, decode, prefill
from completion_server.engine.healing import HealedStart, choose_start, healing_or_none
from completion_server.engine.local_ngrams import LocalNgrams, LocalSampler
from completion_server.engine.lookup import Lookup, LookupGauge
from completion_server.engine.prefix_cache import CachedSequence, PrefixCache
from completion_server.engine.sampling import SampledToken, Sampler, TokenSource, best_tokens, scored
from completion_server.engine.stopping import StopRule
from completion_server.engine.writing import Detokenizer, Generation, Writing
from completion_server.errors import ModelError
from completion_server.model import CausalLM, Prompt, SamplingParams
from completion_server.request import CancellationToken, Deadline, FinishReason

_MIB = 1024 * 1024


@dataclass
class GenerationStats:
    """What one call of ``generate`` cost, in tokens and forward passes."""

    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    num_prefilled_tokens: int = 0
    num_decode_passes: int = 0
    num_generated_tokens: int = 0
    num_draft_tokens: int = 0
    num_accepted_tokens: int = 0
    num_local_tokens: int = 0
    """Tokens that the text at hand decided: the model by itself would have written others."""
    longest_pass_ms: float = 0.0
    prefill_ms: float = 0.0


@dataclass(frozen=True)
class GenerationResult:
    """Alternatives, best first; ``finish_reason`` speaks of the call as a whole."""

    generations: tuple[Generation, ...]
    finish_reason: FinishReason
    stats: GenerationStats = field(default_factory=GenerationStats)


@dataclass
class Totals:
    """What all calls cost so far, those that were cancelled and the work of idle times included."""

    num_calls: int = 0
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    num_prefilled_tokens: int = 0
    num_generated_tokens: int = 0
    num_fed_tokens: int = 0
    num_forward_passes: int = 0


class Engine:
    """One model, its prefix cache, and how to run them within limits."""

    def __init__(
        self,
        model: CausalLM,
        new_detokenizer: Callable[[bytes], Detokenizer],
        settings: Settings,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        """``new_detokenizer(skipped)`` makes the text of a generation without its first bytes ``skipped``.

        ``facts`` describe the model to users (name, device, ...).
        """
        self._model = model
        self._new_detokenizer = new_detokenizer
        self._facts = dict(facts or {})
        self._prefix_cache = PrefixCache(model, settings.cache.prefix_cache_mb * _MIB)
        self._sizer = ChunkSizer(settings.latency.prefill_chunk_ms)
        self._totals = Totals()
        self._lookup_gauge = LookupGauge()

    @property
    def model(self) -> CausalLM:
        return self._model

    @property
    def prefix_cache(self) -> PrefixCache:
        return self._prefix_cache

    def describe(self, facts: Mapping[str, object]) -> None:
        """Add ``facts`` for users to those that ``status`` tells."""
        self._facts.update(facts)

    def apply_settings(self, settings: Settings) -> None:
        self._prefix_cache.resize(settings.cache.prefix_cache_mb * _MIB)
        self._sizer.target_ms = settings.latency.prefill_chunk_ms

    def clear(self) -> None:
        """Forget all keys and values."""
        self._prefix_cache.clear()

    def close(self) -> None:
        """Nothing lives outside of this object."""

    def status(self) -> dict[str, object]:
        return {
            **self._facts,
            "prefix_cache_bytes": self._prefix_cache.num_bytes,
            "prefix_cache_sequences": self._prefix_cache.num_sequences,
            "prefill_chunk_tokens": self._sizer.size,
            "totals": asdict(self._totals),
        }

    def num_missing_tokens(self, prompt: Prompt) -> int:
        """How many tokens of ``prompt`` would have to be fed now."""
        token_ids = self._checked_path(prompt)
        return len(token_ids) - self._prefix_cache.num_held(token_ids)

    def num_tokens_within(self, elapsed_ms: float) -> float:
        """How many tokens of a prompt this machine feeds in so long, by what it did so far."""
        return self._sizer.num_within(elapsed_ms)

    def prefill(self, prompt: Prompt, deadline: Deadline, cancellation: CancellationToken) -> int:
        """Make ``prompt`` cheap to start from later; the number of tokens fed."""
        token_ids = self._checked_path(prompt)
        stats = GenerationStats(num_prompt_tokens=len(token_ids))
        with self._sequence(token_ids, stats) as sequence:
            stats.num_cached_tokens = sequence.num_tokens
            filled = prefill(sequence, token_ids, 0, Limits(deadline, cancellation), self._sizer)
            stats.num_prefilled_tokens = filled.num_fed_tokens
        return filled.num_fed_tokens

    def generate(
        self,
        prompt: Prompt,
        sampling: SamplingParams,
        stop_rules: Sequence[StopRule],
        deadline: Deadline,
        cancellation: CancellationToken,
        num_alternatives: int = 1,
    ) -> GenerationResult:
        """Up to ``num_alternatives`` generations that begin with different tokens.

        Ends at a stop rule or token, after ``sampling.max_new_tokens``, at the deadline or when cancelled; what
        was generated until then is returned. Keys and values of everything fed are kept for the next call.
        """
        limits = Limits(deadline, cancellation)
        token_ids = self._checked_path(prompt)
        healing = healing_or_none(prompt.healing)
        stats = GenerationStats(num_prompt_tokens=len(token_ids))
        with self._sequence(token_ids, stats) as sequence:
            num_logits = len(healing.path_token_ids) + 1
            stats.num_cached_tokens = min(sequence.num_tokens, len(token_ids) - num_logits)
            began = time.perf_counter()
            filled = prefill(sequence, token_ids, num_logits, limits, self._sizer)
            stats.prefill_ms = (time.perf_counter() - began) * 1000
            stats.num_prefilled_tokens = filled.num_fed_tokens
            stats.longest_pass_ms = round(sequence.longest_pass_ms, 2)
            if filled.logits is None:
                return GenerationResult((), filled.stopped_by or FinishReason.DEADLINE, stats)
            start = choose_start(filled.logits, healing)
            sequence.truncate(prompt.num_prompt_tokens + start.step.num_path_tokens)
            run = _Run(self, prompt, sampling, stop_rules, limits, stats)
            generations = run.generations(sequence, start, num_alternatives)
            stats.longest_pass_ms = round(sequence.longest_pass_ms, 2)
        reason = generations[0].finish_reason if generations else FinishReason.STOP
        return GenerationResult(tuple(generations), reason, stats)

    def new_lookup(self, prompt: Prompt, path_token_ids: Sequence[int], ngrams: LocalNgrams | None) -> Lookup:
        """Drafts for a generation that goes on from ``prompt`` and ``path_token_ids``, as ``ngrams`` do."""
        token_ids = (*prompt.token_ids, *path_token_ids)
        return Lookup(prompt.lookup_token_ids, token_ids, self._lookup_gauge, copy.copy(ngrams))

    def new_detokenizer(self, skipped: bytes) -> Detokenizer:
        return self._new_detokenizer(skipped)

    @contextmanager
    def _sequence(self, token_ids: Sequence[int], stats: GenerationStats) -> Iterator[CachedSequence]:
        """The sequence to work on; however the work ends, what it cost is counted."""
        with self._prefix_cache.acquire(token_ids) as sequence:
            try:
                yield sequence
            finally:
                totals = self._totals
                totals.num_calls += 1
                totals.num_prompt_tokens += stats.num_prompt_tokens
                totals.num_cached_tokens += stats.num_cached_tokens
                totals.num_prefilled_tokens += stats.num_prefilled_tokens
                totals.num_generated_tokens += stats.num_generated_tokens
                totals.num_fed_tokens += sequence.num_fed_tokens
                totals.num_forward_passes += sequence.num_passes

    def _checked_path(self, prompt: Prompt) -> tuple[int, ...]:
        """The prompt with its healing path: all that is fed before the first new token."""
        token_ids = prompt.token_ids + healing_or_none(prompt.healing).path_token_ids
        if not prompt.token_ids:
            raise ModelError("a prompt needs at least one token")
        if len(token_ids) >= self._model.max_context:
            raise ModelError(f"{len(token_ids)} tokens do not fit a context of {self._model.max_context}")
        return token_ids


class _Run:
    """What the alternatives of one call have in common."""

    def __init__(
        self,
        engine: Engine,
        prompt: Prompt,
        sampling: SamplingParams,
        stop_rules: Sequence[StopRule],
        limits: Limits,
        stats: GenerationStats,
    ) -> None:
        self._engine = engine
        self._prompt = prompt
        self._sampling = sampling
        self._sampler = Sampler(sampling)
        self._stop_rules = stop_rules
        self._limits = limits
        self._stats = stats
        self._ngrams: LocalNgrams | None = None

    def generations(self, sequence: CachedSequence, start: HealedStart, num_alternatives: int) -> list[Generation]:
        """At least one unless no token is wanted; ``sequence`` ends where ``start`` is.

        Sampled ones are written one after the other, as are those of a model that cannot keep branches apart.
        """
        if self._prompt.local_text is not None:
            self._ngrams = LocalNgrams(self._prompt.local_text, self._path(start))
            mixed = self._ngrams.mix(start.logits, start.step.allowed_token_ids)
            start = HealedStart(start.step, mixed)
        firsts = self.first_tokens(start, num_alternatives)
        if len(firsts) > 1 and self._sampling.temperature == 0 and sequence.can_branch:
            return self.branches(sequence, start, firsts)
        start_length = sequence.num_tokens
        generations: list[Generation] = []
        for first in firsts:
            if generations and self._limits.exceeded() is not None:
                break
            sequence.truncate(start_length)
            generations.append(self.alternative(sequence, start, first))
        return generations

    def first_tokens(self, start: HealedStart, num_alternatives: int) -> list[SampledToken]:
        """First tokens to branch on: the sampler's choice, then the most probable others."""
        if self._sampling.max_new_tokens == 0:
            return []
        allowed = start.step.allowed_token_ids
        first = self._sampler.sample(start.logits, allowed)
        chosen = [first.token_id]
        if num_alternatives > 1:
            ranked = best_tokens(start.logits, num_alternatives + 1, allowed)
            chosen += [token_id for token_id in ranked if token_id != first.token_id]
        return [first] + [scored(start.logits, token_id) for token_id in chosen[1:num_alternatives]]

    def alternative(self, sequence: CachedSequence, start: HealedStart, first: SampledToken) -> Generation:
        """One generation by itself, with drafts."""
        writing = self._new_writing(start, self._stop_rules)
        draft = Draft(self._draft_after(start))
        lookup = self._new_lookup(start)
        sampler = self._token_source(first)
        for token in decode(sequence, first, sampler, self._sampling.max_new_tokens, draft, lookup):
            self._stats.num_generated_tokens += 1
            if writing.add(token):
                break
            # Checked after the token is safe and before the next forward pass begins.
            if (limit := self._limits.exceeded()) is not None:
                writing.reason = limit
                break
        self._stats.num_decode_passes += draft.num_passes
        self._count(draft, sampler)
        return writing.finish()

    def branches(
        self, sequence: CachedSequence, start: HealedStart, firsts: Sequence[SampledToken]
    ) -> list[Generation]:
        """All of ``firsts`` at once."""
        # Rules remember what they have read: each branch has its own.
        branches = [
            Branch(
                number,
                self._new_writing(start, copy.deepcopy(self._stop_rules)),
                first,
                self._token_source(first),
                Guesser(Draft(self._draft_after(start) if number == 0 else ()), self._new_lookup(start)),
            )
            for number, first in enumerate(firsts)
        ]
        max_new_tokens = self._sampling.max_new_tokens
        self._stats.num_decode_passes += decode_branches(sequence, branches, max_new_tokens, self._limits)
        for branch in branches:
            self._stats.num_generated_tokens += branch.length
            self._count(branch.guesser.draft, branch.sampler)
        return [branch.writing.finish() for branch in branches]

    def _new_lookup(self, start: HealedStart) -> Lookup:
        return self._engine.new_lookup(self._prompt, self._path(start), self._ngrams)

    def _token_source(self, first: SampledToken) -> TokenSource:
        """What chooses the tokens after ``first``."""
        if self._ngrams is None:
            return self._sampler
        ngrams = copy.copy(self._ngrams)
        ngrams.append(first.token_id)
        return LocalSampler(self._sampler, ngrams)

    def _count(self, draft: Draft, source: TokenSource) -> None:
        self._stats.num_draft_tokens += draft.num_proposed
        self._stats.num_accepted_tokens += draft.num_accepted
        if isinstance(source, LocalSampler):
            self._stats.num_local_tokens += source.num_decided

    def _path(self, start: HealedStart) -> tuple[int, ...]:
        """The part of the healing path that ``start`` keeps."""
        return healing_or_none(self._prompt.healing).path_token_ids[: start.step.num_path_tokens]

    def _new_writing(self, start: HealedStart, stop_rules: Sequence[StopRule]) -> Writing:
        detokenizer = self._engine.new_detokenizer(start.step.remaining)
        return Writing(detokenizer, stop_rules, self._prompt.stop_token_ids, len(start.step.remaining))

    def _draft_after(self, start: HealedStart) -> tuple[int, ...]:
        """The guess from ``start`` on; nothing when it spells the healing path in another way."""
        draft, path = self._prompt.draft_token_ids, self._path(start)
        return draft[len(path) :] if draft[: len(path)] == path else ()
