"""Engines over tiny random models, and the plain loop that they must agree with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from completion_server.config import CacheSettings, LatencySettings, Settings
from completion_server.engine.engine import Engine, GenerationResult
from completion_server.engine.stopping import StopRule
from completion_server.model import CausalLM, Prompt, SamplingParams
from completion_server.prompt.healing import heal_prefix
from completion_server.request import CancellationToken, Deadline
from tests.support.byte_tokenizer import END, VOCAB_SIZE, ByteDetokenizer, ByteTokenizer
from tests.support.tiny_models import make_model

TOKENIZER = ByteTokenizer()
STOP_TOKENS = frozenset(range(END, VOCAB_SIZE))


@cache
def shared_model(shape: str) -> CausalLM:
    """One model per shape for all tests; models hold no state between calls."""
    return make_model(shape)


def make_engine(
    shape: str = "native:llama", *, prefix_cache_mb: int = 64, model: CausalLM | None = None
) -> Engine:
    # A target of 0 ms gives the smallest chunks (32, then 16 tokens), however fast the machine is.
    settings = Settings(
        cache=CacheSettings(prefix_cache_mb=prefix_cache_mb), latency=LatencySettings(prefill_chunk_ms=0)
    )
    return Engine(model or shared_model(shape), lambda skipped: ByteDetokenizer(TOKENIZER, len(skipped)), settings)


def make_prompt(
    prefix: str, *, is_healed: bool = True, stop_token_ids: frozenset[int] = STOP_TOKENS, draft: str = ""
) -> Prompt:
    token_ids = TOKENIZER.encode(prefix)
    if not is_healed:
        return Prompt((END, *token_ids), None, stop_token_ids, tuple(TOKENIZER.encode(draft)))
    healed = heal_prefix(prefix, token_ids, TOKENIZER)
    drafted = TOKENIZER.encode(healed.removed.decode() + draft) if draft else []
    return Prompt((END, *healed.token_ids), healed.healing, stop_token_ids, tuple(drafted))


def generate(
    engine: Engine,
    prompt: Prompt,
    sampling: SamplingParams | None = None,
    stop_rules: Sequence[StopRule] = (),
    num_alternatives: int = 1,
) -> GenerationResult:
    return engine.generate(
        prompt,
        sampling or SamplingParams(max_new_tokens=12),
        stop_rules,
        Deadline.never(),
        CancellationToken(),
        num_alternatives,
    )


def greedy_reference(model: CausalLM, token_ids: Sequence[int], num_tokens: int) -> list[int]:
    """Greedy decoding with nothing kept: the whole text through the model for every token."""
    generated: list[int] = []
    while len(generated) < num_tokens:
        logits = model.forward([*token_ids, *generated], model.new_kv_cache(), 1)
        generated.append(int(np.argmax(logits[0])))
        if generated[-1] in STOP_TOKENS:
            return generated[:-1]
    return generated


class CountingModel:
    """Passes everything on; counts forward passes and runs ``on_forward`` before each."""

    def __init__(self, model: CausalLM) -> None:
        self._model = model
        self.chunk_sizes: list[int] = []
        self.on_forward = lambda: None

    @property
    def vocab_size(self) -> int:
        return self._model.vocab_size

    @property
    def max_context(self) -> int:
        return self._model.max_context

    def new_kv_cache(self):
        return self._model.new_kv_cache()

    def forward(self, token_ids, kv_cache, num_logits):
        self.on_forward()
        self.chunk_sizes.append(len(token_ids))
        return self._model.forward(token_ids, kv_cache, num_logits)
