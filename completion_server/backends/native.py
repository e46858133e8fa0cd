"""Our own forward pass for the Llama and Qwen2 families: fused projections, preallocated KV, no module tree.

The point is time per token at batch 1, where a module tree costs more than the arithmetic. Parity with
transformers is tested. Knows tensors and one config; nothing of text, files or caches across requests.
Architecture: Touvron et al. 2023 (arXiv 2302.13971), Qwen2 technical report (arXiv 2407.10671); rotary
embedding: Su et al. 2021 (arXiv 2104.09864).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from completion_server.backends.native_config import NativeConfig
from completion_server.backends.static_kv_cache import StaticKVCache, as_logits, own_kv_cache
from completion_server.backends.step_graphs import LARGEST_STEP, StepGraphs
from completion_server.model import KVCache, Logits

TensorSource = Callable[[str], torch.Tensor]
"""Weight by its name in the checkpoint; raises KeyError for a name that is not there."""

_Append = Callable[[int, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(layer, new keys, new values) -> all keys, all values to attend to."""


@dataclass(frozen=True)
class _Layer:
    """Weights of one block, each (out, in); ``qkv`` and ``gate_up`` are concatenated along out."""

    attention_norm: torch.Tensor
    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    output: torch.Tensor
    output_bias: torch.Tensor | None
    mlp_norm: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


class NativeModel:
    """A ``CausalLM`` for the Llama and Qwen2 families."""

    def __init__(
        self, config: NativeConfig, source: TensorSource, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._config = config
        self._device = device

        def load(*names: str) -> torch.Tensor:
            parts = [source(name).to(device=device, dtype=dtype) for name in names]
            return parts[0].contiguous() if len(parts) == 1 else torch.cat(parts)

        self._embedding = load("model.embed_tokens.weight")
        self._layers = [_load_layer(load, f"model.layers.{index}.") for index in range(config.num_layers)]
        self._norm = load("model.norm.weight")
        self._head = self._embedding if config.has_tied_embeddings else load("lm_head.weight")
        self._cos, self._sin = _rope_tables(config, dtype, device)
        self.step_graphs = StepGraphs(self.static_step, device) if device.type == "cuda" else None
        """None: every pass is run as it is written."""

    @property
    def vocab_size(self) -> int:
        return int(self._embedding.shape[0])

    @property
    def max_context(self) -> int:
        return self._config.max_context

    @property
    def num_weight_bytes(self) -> int:
        tensors = [self._embedding] + ([] if self._config.has_tied_embeddings else [self._head])
        for layer in self._layers:
            tensors += [layer.qkv, layer.output, layer.gate_up, layer.down]
        return sum(tensor.element_size() * tensor.nelement() for tensor in tensors)

    def new_kv_cache(self) -> StaticKVCache:
        return StaticKVCache(self._config.num_layers, self._config.max_context)

    @torch.inference_mode()
    def forward(self, token_ids: Sequence[int], kv_cache: KVCache, num_logits: int) -> Logits:
        held = own_kv_cache(kv_cache)
        past, new = held.num_tokens, len(token_ids)
        held.check_room(new)
        if num_logits and new <= LARGEST_STEP and self.step_graphs is not None:
            logits = self.step_graphs.run(token_ids, held)
            if logits is not None:
                held.advance(new)
                return as_logits(logits[-num_logits:])
        positions = torch.arange(past, past + new, device=self._device)
        mask = self._attention_mask(past, new) if new > 1 else None
        hidden = self._run_blocks(token_ids, positions, mask, held)
        if num_logits == 0:
            return as_logits(torch.empty(0, self.vocab_size))
        return as_logits(self._head_logits(hidden[-num_logits:]))  # (num_logits, V)

    @torch.inference_mode()
    def forward_branches(
        self,
        token_ids: Sequence[int],
        kv_cache: KVCache,
        positions: Sequence[int],
        visible: npt.NDArray[np.bool_],
    ) -> Logits:
        held = own_kv_cache(kv_cache)
        new, num_branched = visible.shape
        held.check_room(new)
        is_seen = torch.ones(new, held.num_tokens + new, dtype=torch.bool)
        is_seen[:, -num_branched:] = torch.from_numpy(visible)
        mask = torch.zeros(is_seen.shape, dtype=self._embedding.dtype).masked_fill(~is_seen, float("-inf"))
        mask = self._for_each_head(mask.to(self._device))
        hidden = self._run_blocks(token_ids, torch.tensor(positions, device=self._device), mask, held)
        return as_logits(self._head_logits(hidden))

    def _run_blocks(
        self,
        token_ids: Sequence[int],
        positions: torch.Tensor,
        mask: torch.Tensor | None,
        kv_cache: StaticKVCache,
    ) -> torch.Tensor:
        """Hidden states (T, C) of ``token_ids`` at ``positions`` (T,), which ``kv_cache`` holds afterwards."""
        hidden = self._embedding[torch.tensor(token_ids, device=self._device)]  # (T, C)
        cos, sin = self._cos[positions], self._sin[positions]  # (T, 1, D)
        for index, layer in enumerate(self._layers):
            hidden = self._block(hidden, index, layer, kv_cache.append, cos, sin, mask)
        kv_cache.advance(len(token_ids))
        return hidden

    @torch.inference_mode()
    def static_step(
        self, token_ids: torch.Tensor, positions: torch.Tensor, kv_cache: StaticKVCache
    ) -> torch.Tensor:
        """The same pass with fixed shapes: ``token_ids`` (T,) at ``positions`` (T,) of memory that is there.

        Returns logits (T, V). Attention goes over the whole memory, with a mask: nothing in here depends on how
        many tokens the cache holds, so it can be recorded once and run again.
        """
        hidden = self._embedding[token_ids]
        cos, sin = self._cos[positions], self._sin[positions]
        mask = self._static_mask(positions, kv_cache.capacity)

        def append(index: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return kv_cache.write_at(index, positions, keys, values)

        for index, layer in enumerate(self._layers):
            hidden = self._block(hidden, index, layer, append, cos, sin, mask)
        return self._head_logits(hidden)

    def _head_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        normed = F.rms_norm(hidden, (hidden.shape[1],), self._norm, self._config.norm_eps)
        return F.linear(normed, self._head)

    def _static_mask(self, positions: torch.Tensor, capacity: int) -> torch.Tensor:
        """Additive (G*T, capacity)."""
        columns = torch.arange(capacity, device=self._device)
        mask = torch.zeros(len(positions), capacity, dtype=self._embedding.dtype, device=self._device)
        return self._for_each_head(mask.masked_fill(columns[None, :] > positions[:, None], float("-inf")))

    def _attention_mask(self, past: int, new: int) -> torch.Tensor:
        """Additive (G*T, past + T), G query heads per key: a new token sees everything up to itself."""
        shape = (new, past + new)
        mask = torch.full(shape, float("-inf"), dtype=self._embedding.dtype, device=self._device).triu(past + 1)
        return self._for_each_head(mask)

    def _for_each_head(self, mask: torch.Tensor) -> torch.Tensor:
        """(T, keys) -> (G*T, keys) for the heads that share keys."""
        return mask.repeat(self._config.num_heads // self._config.num_kv_heads, 1)

    def _block(  # noqa: PLR0913 - one decoder block; a parameter object would be built per layer and token
        self,
        hidden: torch.Tensor,
        index: int,
        layer: _Layer,
        append: _Append,
        cos: torch.Tensor,
        sin: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        config, new = self._config, hidden.shape[0]
        num_rotated = config.num_heads + config.num_kv_heads
        normed = F.rms_norm(hidden, (config.hidden_size,), layer.attention_norm, config.norm_eps)
        qkv = F.linear(normed, layer.qkv, layer.qkv_bias).view(new, -1, config.head_dim)  # (T, Hq+2Hkv, D)
        rotated = _rotate(qkv[:, :num_rotated], cos, sin).transpose(0, 1).unsqueeze(0)  # (1, Hq+Hkv, T, D)
        values = qkv[:, num_rotated:].transpose(0, 1).unsqueeze(0)  # (1, Hkv, T, D)
        keys, values = append(index, rotated[:, config.num_heads :], values)
        # The heads that share keys become rows of one query: a third of the time of enable_gqa at one token.
        queries = rotated[:, : config.num_heads].reshape(1, config.num_kv_heads, -1, config.head_dim)
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)  # (1, Hkv, G*T, D)
        attended = attended.view(config.num_heads, new, config.head_dim).transpose(0, 1).reshape(new, -1)
        hidden = hidden + F.linear(attended, layer.output, layer.output_bias)
        normed = F.rms_norm(hidden, (config.hidden_size,), layer.mlp_norm, config.norm_eps)
        gate, up = F.linear(normed, layer.gate_up).chunk(2, dim=-1)
        return hidden + F.linear(F.silu(gate) * up, layer.down)


def _load_layer(load: Callable[..., torch.Tensor], name: str) -> _Layer:
    def load_bias(*names: str) -> torch.Tensor | None:
        try:
            return load(*names)
        except KeyError:
            return None

    attention = [f"{name}self_attn.{part}_proj" for part in "qkv"]
    return _Layer(
        attention_norm=load(f"{name}input_layernorm.weight"),
        qkv=load(*(f"{part}.weight" for part in attention)),
        qkv_bias=load_bias(*(f"{part}.bias" for part in attention)),
        output=load(f"{name}self_attn.o_proj.weight"),
        output_bias=load_bias(f"{name}self_attn.o_proj.bias"),
        mlp_norm=load(f"{name}post_attention_layernorm.weight"),
        gate_up=load(f"{name}mlp.gate_proj.weight", f"{name}mlp.up_proj.weight"),
        down=load(f"{name}mlp.down_proj.weight"),
    )


def _rope_tables(
    config: NativeConfig, dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin (max_context, 1, D), in float32 first as transformers does, then in the model's type."""
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    half = torch.arange(0, config.head_dim, 2, dtype=exact) / config.head_dim
    angles = torch.outer(torch.arange(config.max_context, dtype=exact), config.rope_theta**-half)
    angles = torch.cat([angles, angles], dim=-1).unsqueeze(1)
    return angles.cos().to(device, dtype), angles.sin().to(device, dtype)


def _rotate(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of (T, H, D), halves rotated against each other (the transformers convention)."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat([-second, first], dim=-1) * sin
