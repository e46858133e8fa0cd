"""Adapter over any transformers causal language model with plain attention.

Keeps its keys and values in our own ``StaticKVCache``, so that prefix cache, truncation and growth are the
same for every backend. Slower per token than ``native``; right for every architecture that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from completion_server.backends.static_kv_cache import StaticKVCache, as_logits, own_kv_cache
from completion_server.errors import UnsupportedModelError
from completion_server.model import KVCache, Logits

_RECURRENT = ("mamba", "rwkv", "recurrent", "linear_attention", "conv")


class _Layer(DynamicLayer):  # type: ignore[misc]
    """One layer of transformers' cache that stores into ``StaticKVCache``."""

    def __init__(self, kv_cache: StaticKVCache, index: int) -> None:
        super().__init__()
        self._kv_cache = kv_cache
        self._index = index

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:  # noqa: ARG002
        self.dtype, self.device = key_states.dtype, key_states.device
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self._kv_cache.append(self._index, key_states, value_states)

    def get_seq_length(self) -> int:
        return self._kv_cache.num_tokens

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._kv_cache.num_tokens + query_length, 0


class TransformersModel:
    """A ``CausalLM`` over ``model``; refuses what cannot be truncated (recurrent and hybrid models)."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model.eval()
        config = model.config.get_text_config()
        _check_supported(config)
        self._num_layers = int(config.num_hidden_layers)
        self._vocab_size = int(model.get_output_embeddings().weight.shape[0])
        limits = [getattr(config, "max_position_embeddings", None) or 2048]
        # A window that is never exceeded is full attention, so one cache serves both kinds of layer.
        if window := getattr(config, "sliding_window", None):
            limits.append(window)
        self._max_context = int(min(limits))

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    @property
    def max_context(self) -> int:
        return self._max_context

    @property
    def num_weight_bytes(self) -> int:
        return sum(weight.element_size() * weight.nelement() for weight in self._model.parameters())

    def new_kv_cache(self) -> StaticKVCache:
        return StaticKVCache(self._num_layers, self._max_context)

    @torch.inference_mode()
    def forward(self, token_ids: Sequence[int], kv_cache: KVCache, num_logits: int) -> Logits:
        held = own_kv_cache(kv_cache)
        past, new = held.num_tokens, len(token_ids)
        held.check_room(new)
        device = self._model.device
        layers = [_Layer(held, index) for index in range(self._num_layers)]
        result = self._model(
            input_ids=torch.tensor([token_ids], device=device),
            attention_mask=torch.ones(1, past + new, dtype=torch.long, device=device),
            position_ids=torch.arange(past, past + new, device=device).unsqueeze(0),
            past_key_values=Cache(layers=layers),
            use_cache=True,
            logits_to_keep=max(num_logits, 1),
        )
        held.advance(new)
        logits: torch.Tensor = result.logits[0]
        return as_logits(logits[len(logits) - num_logits :])


def _check_supported(config: Any) -> None:
    kinds = [str(config.model_type), *(str(kind) for kind in getattr(config, "layer_types", None) or [])]
    found = [kind for kind in kinds if any(word in kind for word in _RECURRENT)]
    if found or getattr(config, "is_encoder_decoder", False):
        raise UnsupportedModelError(
            f"{config.model_type} models are not supported: their state cannot be cut back to an earlier"
            f" token"
            f" ({', '.join(sorted(set(found))) or 'encoder-decoder'}). Use a decoder-only attention model."
        )
