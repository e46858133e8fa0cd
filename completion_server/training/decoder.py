"""The Llama and Qwen2 forward pass for training: packed rows, fused projections, LoRA or full weights.

The same arithmetic as ``backends.native``, with gradients. About 1.3 times as fast on a CPU as transformers with
peft, which is why it exists (EXPERIMENTS.md); the adapters it trains are in peft's format (``training.lora``).
LoRA: Hu et al. 2021 (arXiv 2106.09685).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from completion_server.backends.native_config import NativeConfig
from completion_server.training.loss import HeadLoss
from completion_server.training.packing import PackedBatch

TensorSource = Callable[[str], torch.Tensor]
EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"


@dataclass(frozen=True)
class LoraSettings:
    """``rank`` 0: no adapter, the weights themselves are trained. ``row_ids``: tokens with a trained embedding."""

    rank: int = 16
    alpha: float = 32.0
    row_ids: tuple[int, ...] = ()

    @property
    def scale(self) -> float:
        return self.alpha / self.rank if self.rank else 0.0


class Projection(nn.Module):
    """Linear maps of one input, concatenated along the output: ``weight`` (sum of outputs, inputs)."""

    def __init__(
        self, names: Sequence[str], weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor]
    ) -> None:
        """``names`` without ".weight"; ``biases`` is empty where the maps have none."""
        super().__init__()
        self.names = tuple(names)
        self.sizes = tuple(int(weight.shape[0]) for weight in weights)
        self.weight = nn.Parameter(torch.cat(list(weights)))
        self.bias = nn.Parameter(torch.cat(list(biases))) if biases else None
        self.scale = 0.0
        self.lora_a = nn.ParameterList()
        self.lora_b = nn.ParameterList()

    def add_lora(self, settings: LoraSettings, generator: torch.Generator) -> None:
        """A (rank, inputs) random, B (outputs, rank) zero, float32, for each of the maps."""
        self.scale = settings.scale
        num_inputs = self.weight.shape[1]
        bound = math.sqrt(3 / num_inputs)
        for size in self.sizes:
            down = torch.empty(settings.rank, num_inputs).uniform_(-bound, bound, generator=generator)
            self.lora_a.append(nn.Parameter(down))
            self.lora_b.append(nn.Parameter(torch.zeros(size, settings.rank)))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        dtype = hidden.dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        result = F.linear(hidden, self.weight.to(dtype), bias)
        if not self.lora_a:
            return result
        down = torch.cat(list(self.lora_a)).to(dtype)
        up = torch.block_diag(*self.lora_b).to(dtype)  # type: ignore[no-untyped-call]
        return torch.addmm(result, hidden @ down.T, up.T, alpha=self.scale)


class Block(nn.Module):
    """One decoder block."""

    def __init__(self, name: str, config: NativeConfig, source: TensorSource) -> None:
        super().__init__()
        self.config = config

        def project(*parts: str) -> Projection:
            names = [f"{name}{part}" for part in parts]
            weights = [source(f"{each}.weight") for each in names]
            try:
                biases = [source(f"{each}.bias") for each in names]
            except KeyError:
                biases = []
            return Projection(names, weights, biases)

        self.attention_norm = nn.Parameter(source(f"{name}input_layernorm.weight").clone())
        self.qkv = project("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
        self.output = project("self_attn.o_proj")
        self.mlp_norm = nn.Parameter(source(f"{name}post_attention_layernorm.weight").clone())
        self.gate_up = project("mlp.gate_proj", "mlp.up_proj")
        self.down = project("mlp.down_proj")

    def forward(self, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, runs: _Runs) -> torch.Tensor:
        config, dtype = self.config, hidden.dtype
        num_rotated = config.num_heads + config.num_kv_heads
        normed = F.rms_norm(hidden, hidden.shape[1:], self.attention_norm.to(dtype), config.norm_eps)
        qkv = self.qkv(normed).view(hidden.shape[0], -1, config.head_dim)  # (T, Hq+2Hkv, D)
        rotated = _rotate(qkv[:, :num_rotated], cos, sin)
        queries, keys = rotated[:, : config.num_heads], rotated[:, config.num_heads :]
        attended = runs.attend(queries, keys, qkv[:, num_rotated:])
        hidden = hidden + self.output(attended.reshape(hidden.shape[0], -1))
        normed = F.rms_norm(hidden, hidden.shape[1:], self.mlp_norm.to(dtype), config.norm_eps)
        gate, up = self.gate_up(normed).chunk(2, dim=-1)
        result: torch.Tensor = hidden + self.down(F.silu(gate) * up)
        return result


class _Runs:
    """Causal attention inside each example of a packed batch."""

    def __init__(self, lengths: Sequence[int], num_groups: int, like: torch.Tensor) -> None:
        self._lengths = list(lengths)
        self._num_groups = num_groups
        self._masks: dict[int, torch.Tensor] = {}
        if like.device.type == "cpu":
            for length in set(lengths):
                mask = torch.full((length, length), float("-inf"), dtype=like.dtype).triu(1)
                self._masks[length] = mask.repeat(num_groups, 1)

    def attend(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """(T, Hq, D), (T, Hkv, D), (T, Hkv, D) -> (T, Hq, D)."""
        parts = zip(*(_split(each, self._lengths) for each in (queries, keys, values)), strict=True)
        return torch.cat([self._attend_one(*part) for part in parts])

    def _attend_one(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        length, num_heads, head_dim = queries.shape
        keys, values = keys.transpose(0, 1), values.transpose(0, 1)  # (Hkv, T, D)
        if not self._masks:
            attended = F.scaled_dot_product_attention(
                queries.transpose(0, 1)[None], keys[None], values[None], is_causal=True, enable_gqa=True
            )
            return attended[0].transpose(0, 1)
        # On a CPU plain products beat the fused operator, forward and back: 41 ms against 70 (EXPERIMENTS.md).
        num_kv_heads = num_heads // self._num_groups
        folded = queries.view(length, num_kv_heads, self._num_groups, head_dim).permute(1, 2, 0, 3)
        folded = folded.reshape(num_kv_heads, -1, head_dim)  # (Hkv, G*T, D)
        scores = torch.baddbmm(self._masks[length], folded, keys.transpose(1, 2), alpha=head_dim**-0.5)
        attended = torch.bmm(torch.softmax(scores, dim=-1), values)
        attended = attended.view(num_kv_heads, self._num_groups, length, head_dim)
        return attended.permute(2, 0, 1, 3).reshape(length, num_heads, head_dim)


class Decoder(nn.Module):
    """A trainable model. Frozen weights are in ``dtype``, trained ones in float32; computing is in ``dtype``."""

    def __init__(
        self, config: NativeConfig, source: TensorSource, settings: LoraSettings, dtype: torch.dtype, seed: int = 0
    ) -> None:
        """``source(name)``: the weight called so in the checkpoint; KeyError for one that is not there."""
        super().__init__()
        self.config, self.settings, self.dtype = config, settings, dtype
        self.embedding = nn.Parameter(source(EMBEDDING).clone())
        self.blocks = nn.ModuleList(
            Block(f"model.layers.{index}.", config, source) for index in range(config.num_layers)
        )
        self.norm = nn.Parameter(source("model.norm.weight").clone())
        self.head = None if config.has_tied_embeddings else nn.Parameter(source(HEAD).clone())
        self.rows = nn.Parameter(self.embedding.detach()[list(settings.row_ids)].float().clone())
        self.row_ids: torch.Tensor
        self.register_buffer("row_ids", torch.tensor(settings.row_ids, dtype=torch.long), persistent=False)
        if settings.rank:
            self._freeze(seed)
        else:
            self.float()
            self.rows.requires_grad_(False)

    def _freeze(self, seed: int) -> None:
        for parameter in self.parameters():
            parameter.requires_grad_(False)
            parameter.data = parameter.data.to(self.dtype)
        generator = torch.Generator().manual_seed(seed)
        for projection in self.projections():
            projection.add_lora(self.settings, generator)
        self.rows.data = self.rows.data.float()
        self.rows.requires_grad_(bool(self.settings.row_ids))

    def projections(self) -> Iterator[Projection]:
        return (module for module in self.modules() if isinstance(module, Projection))

    def trainable(self) -> dict[str, nn.Parameter]:
        """What the optimizer changes, by name."""
        return {name: each for name, each in self.named_parameters() if each.requires_grad}

    def hidden_states(self, batch: PackedBatch) -> torch.Tensor:
        """(T, C) after the last norm."""
        config = self.config
        hidden = self.embedding.to(self.dtype)[batch.token_ids]
        for number, token_id in enumerate(self.settings.row_ids):
            is_row = (batch.token_ids == token_id).unsqueeze(1)
            hidden = torch.where(is_row, self.rows[number].to(self.dtype), hidden)
        cos, sin = _rope(config, batch.positions, self.dtype)
        runs = _Runs(batch.lengths, config.num_heads // config.num_kv_heads, hidden)
        for block in self.blocks:
            hidden = block(hidden, cos, sin, runs)
        return F.rms_norm(hidden, hidden.shape[1:], self.norm.to(self.dtype), config.norm_eps)

    def forward(self, batch: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """The weighted sum of the negative log-likelihoods, and each of them (N,), in nats."""
        hidden = self.hidden_states(batch)[batch.loss_rows]
        head = self.embedding if self.head is None else self.head
        row_ids = self.row_ids if self.head is None else self.row_ids[:0]
        rows = self.rows.to(self.dtype) if self.head is None else self.rows[:0].to(self.dtype)
        result: tuple[torch.Tensor, torch.Tensor] = HeadLoss.apply(  # type: ignore[no-untyped-call]
            hidden, head.to(self.dtype), row_ids, rows, batch.target_ids, batch.weights
        )
        return result

    def full_weights(self) -> dict[str, torch.Tensor]:
        """All weights under their names in a checkpoint, LoRA not included."""
        weights: dict[str, torch.Tensor] = {EMBEDDING: self.embedding.data, "model.norm.weight": self.norm.data}
        if self.head is not None:
            weights[HEAD] = self.head.data
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            weights[f"model.layers.{index}.input_layernorm.weight"] = block.attention_norm.data
            weights[f"model.layers.{index}.post_attention_layernorm.weight"] = block.mlp_norm.data
        for projection in self.projections():
            for name, weight in zip(
                projection.names, _split(projection.weight.data, projection.sizes), strict=True
            ):
                weights[f"{name}.weight"] = weight.contiguous()
            if projection.bias is not None:
                for name, bias in zip(
                    projection.names, _split(projection.bias.data, projection.sizes), strict=True
                ):
                    weights[f"{name}.bias"] = bias.contiguous()
        return weights


def _split(tensor: torch.Tensor, sizes: Sequence[int]) -> tuple[torch.Tensor, ...]:
    """Along the first axis."""
    parts: tuple[torch.Tensor, ...] = torch.functional.split(tensor, list(sizes))
    return parts


def _rope(config: NativeConfig, positions: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin (T, 1, D), computed in float32."""
    half = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=positions.device) / config.head_dim
    angles = torch.outer(positions.float(), config.rope_theta**-half)
    angles = torch.cat([angles, angles], dim=-1).unsqueeze(1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def _rotate(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of (T, H, D), halves against each other."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat([-second, first], dim=-1) * sin
