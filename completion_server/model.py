"""The token level: what a model backend provides, what it is asked, what comes back.

Only this file stands between the engine and a backend. Knows nothing of text, files or the library that computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from completion_server.errors import ModelError

Logits = npt.NDArray[np.floating[Any]]
"""Unnormalised log-probabilities of the next token: (V,), or (T, V) after each of T tokens."""


class KVCache(Protocol):
    """Keys and values of the first ``num_tokens`` tokens a model has seen, for one sequence."""

    @property
    def num_tokens(self) -> int: ...

    @property
    def num_bytes(self) -> int:
        """Memory held, counting capacity and not only what is in use."""
        ...

    def truncate(self, num_tokens: int) -> None:
        """Forget everything after the first ``num_tokens`` tokens; costs nothing, copies nothing."""
        ...


class CausalLM(Protocol):
    """A decoder-only language model."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def max_context(self) -> int:
        """Most tokens that one KV cache may hold."""
        ...

    def new_kv_cache(self) -> KVCache: ...

    def forward(self, token_ids: Sequence[int], kv_cache: KVCache, num_logits: int) -> Logits:
        """Append ``token_ids`` to ``kv_cache``; logits after each of the last ``num_logits`` of them.

        Returns (num_logits, vocab_size), float32 or float64; ``num_logits`` may be 0. When it raises,
        ``kv_cache.num_tokens`` is what it was before.
        """
        ...


@runtime_checkable
class BranchingLM(Protocol):
    """A ``CausalLM`` that can keep several continuations of one text apart in one KV cache."""

    def forward_branches(
        self,
        token_ids: Sequence[int],
        kv_cache: KVCache,
        positions: Sequence[int],
        visible: npt.NDArray[np.bool_],
    ) -> Logits:
        """Append ``token_ids``, T tokens of different branches; logits (T, vocab_size) after each.

        ``positions`` (T,) counts from the start of the text. ``visible`` (T, B) says which of the last B tokens of
        the cache, the new ones included, each new token may look at (itself among them); all before those are the
        common text, and seen by all.
        """
        ...


@dataclass(frozen=True)
class HealingStep:
    """The tokens that may be sampled after ``num_path_tokens`` tokens of the healing path.

    Their bytes start with ``remaining``, the part of the prefix that the model has not been given yet.
    """

    num_path_tokens: int
    remaining: bytes
    allowed_token_ids: Sequence[int] | None
    """None: every token (``remaining`` is empty)."""


@dataclass(frozen=True)
class Healing:
    """Token healing at the cursor: the prompt ends a little early, at a token boundary that is safe.

    ``path_token_ids`` spell (most of) the removed text; one forward pass over them gives the logits at which
    each of ``steps`` could leave the path.
    """

    path_token_ids: tuple[int, ...]
    steps: tuple[HealingStep, ...]


@dataclass(frozen=True)
class LocalText:
    """Text at hand, for an n-gram model beside the language model (``engine.local_ngrams``)."""

    preceding_token_ids: tuple[int, ...]
    """The last ``MAX_MATCH`` tokens of the text before the cursor, as far as the prompt holds it."""
    token_ids: bytes = field(repr=False)
    """Of the document and of other files: int32 in this machine's byte order, ``TEXT_END`` after each text."""

    def __post_init__(self) -> None:
        if len(self.token_ids) % 4:
            raise ModelError("these are no int32 values")


MAX_MATCH = 16
"""Most tokens at the end of a text that are looked for in a ``LocalText``."""

TEXT_END = -1
"""No token; stands between texts that do not follow each other."""


@dataclass(frozen=True)
class Prompt:
    """Model input. ``token_ids`` never end inside a token that the text to come could change."""

    token_ids: tuple[int, ...]
    healing: Healing | None = None
    stop_token_ids: frozenset[int] = frozenset()
    draft_token_ids: tuple[int, ...] = ()
    """A guess at what follows ``token_ids``, healing path included; only ever costs or saves time."""
    lookup_token_ids: tuple[int, ...] = ()
    """Text at hand that is not in ``token_ids``; what the model writes may be a copy of a part of it."""
    num_prefix_tokens: int = 0
    num_suffix_tokens: int = 0
    snippet_sizes: tuple[int, ...] = ()
    """Tokens that each of the snippets given takes in ``token_ids``; 0 for one that did not fit."""
    local_text: LocalText | None = None

    @property
    def num_prompt_tokens(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True)
class SamplingParams:
    """How a token is chosen. ``temperature`` 0 is greedy; the other fields then do nothing."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.top_k < 0 or not 0 < self.top_p <= 1 or self.max_new_tokens < 0:
            raise ModelError(f"sampling parameters out of range: {self}")
