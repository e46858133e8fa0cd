"""What a GGUF file's model is called in transformers: its ``config.json`` and the name of every weight.

One description per architecture; an unknown architecture, option or tensor is refused, because guessing would
give a model that runs and writes nonsense.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from completion_server.catalog.gguf_file import GgufFile
from completion_server.errors import ModelFormatError, UnsupportedModelError

_MAX_LAYERS = 1024
_IGNORED_TENSORS = re.compile(r"rope_freqs\.weight|blk\.\d+\.attn_rot_embd(\.weight)?")


@dataclass(frozen=True)
class PlannedTensor:
    """One weight: where it is in the GGUF file, what transformers calls it, and its shape there."""

    name: str
    gguf_name: str
    shape: tuple[int, ...]
    rope_heads: int = 0
    """Above 0: the rows of this many heads are stored interleaved and have to be put back in halves."""


@dataclass(frozen=True)
class ModelPlan:
    """``config`` is complete but for the token ids and the dtype."""

    config: dict[str, Any]
    tensors: tuple[PlannedTensor, ...]


@dataclass(frozen=True)
class _Shape:
    """The sizes that all three architectures share."""

    vocab: int
    hidden: int
    feed_forward: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int

    @property
    def query(self) -> int:
        return self.heads * self.head_dim

    @property
    def key(self) -> int:
        return self.kv_heads * self.head_dim


def plan_model(gguf: GgufFile) -> ModelPlan:
    """How to turn ``gguf`` into a transformers model.

    Raises UnsupportedModelError for an architecture, option or tensor that is not known here, ModelFormatError for
    missing or contradictory values.
    """
    architecture = gguf.string("general.architecture")
    plan_architecture = _ARCHITECTURES.get(architecture)
    if plan_architecture is None:
        supported = ", ".join(sorted(_ARCHITECTURES))
        raise UnsupportedModelError(
            f"{gguf.path}: GGUF files of the architecture {architecture!r} cannot be converted (supported: "
            f"{supported}); use the model's safetensors version instead"
        )
    _refuse_variants(gguf, architecture)
    plan = plan_architecture(gguf, _read_shape(gguf, architecture))
    _check_tensors(gguf, plan)
    return plan


def _refuse_variants(gguf: GgufFile, architecture: str) -> None:
    if gguf.integer(f"{architecture}.expert_count", 0):
        raise UnsupportedModelError(f"{gguf.path}: mixture-of-experts models cannot be converted")
    for key in ("attention.head_count", "attention.head_count_kv", "feed_forward_length"):
        if isinstance(gguf.metadata.get(f"{architecture}.{key}"), np.ndarray):
            raise UnsupportedModelError(f"{gguf.path}: models whose layers differ in size cannot be converted")


def _read_shape(gguf: GgufFile, architecture: str) -> _Shape:
    def positive(key: str, default: int | None = None) -> int:
        value = gguf.integer(f"{architecture}.{key}", default)
        if not 0 < value < 1 << 31:
            raise ModelFormatError(f"{gguf.path}: {architecture}.{key} is {value}, which no model has")
        return value

    embedding = gguf.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise ModelFormatError(f"{gguf.path}: the token embedding (token_embd.weight) is missing or has no rows")
    hidden, heads, layers = (
        positive("embedding_length"), positive("attention.head_count"), positive("block_count"),
    )  # fmt: skip
    if layers > _MAX_LAYERS:
        raise ModelFormatError(f"{gguf.path}: it claims {layers} layers, more than any model has")
    head_dim = positive("attention.key_length", max(1, hidden // heads))
    if positive("rope.dimension_count", head_dim) != head_dim:
        raise UnsupportedModelError(f"{gguf.path}: rotary embedding of part of a head cannot be converted")
    if positive("attention.value_length", head_dim) != head_dim or head_dim % 2:
        raise UnsupportedModelError(
            f"{gguf.path}: heads of {head_dim} with other-sized values cannot be converted"
        )
    kv_heads = positive("attention.head_count_kv", heads)
    if heads % kv_heads:
        raise ModelFormatError(f"{gguf.path}: {heads} heads cannot share {kv_heads} key/value heads")
    return _Shape(
        vocab=embedding.shape[0],
        hidden=hidden,
        feed_forward=positive("feed_forward_length"),
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        context=positive("context_length"),
    )


def _check_tensors(gguf: GgufFile, plan: ModelPlan) -> None:
    for planned in plan.tensors:
        tensor = gguf.tensors.get(planned.gguf_name)
        if tensor is None:
            raise ModelFormatError(f"{gguf.path}: the tensor {planned.gguf_name} is missing")
        if tensor.shape != planned.shape:
            raise ModelFormatError(
                f"{gguf.path}: the tensor {planned.gguf_name} has shape {tensor.shape}, expected {planned.shape}"
            )
    known = {planned.gguf_name for planned in plan.tensors}
    unknown = sorted(name for name in gguf.tensors if name not in known and not _IGNORED_TENSORS.fullmatch(name))
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise UnsupportedModelError(f"{gguf.path}: it has weights that this converter does not know: {shown}")


def _plan_llama(gguf: GgufFile, shape: _Shape) -> ModelPlan:
    attention_bias = "blk.0.attn_q.bias" in gguf.tensors
    mlp_bias = "blk.0.ffn_gate.bias" in gguf.tensors
    config = _base_config(gguf, shape, "llama", "LlamaForCausalLM") | {
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": _epsilon(gguf, "llama.attention.layer_norm_rms_epsilon"),
        "attention_bias": attention_bias,
        "mlp_bias": mlp_bias,
    }
    tensors = _gated_layers(
        shape, query_bias=attention_bias, output_bias=attention_bias, mlp_bias=mlp_bias, interleaved=True
    )
    return ModelPlan(config, (*tensors, *_outer_tensors(gguf, shape, norm_bias=False)))


def _plan_qwen2(gguf: GgufFile, shape: _Shape) -> ModelPlan:
    if shape.query != shape.hidden:
        raise UnsupportedModelError(f"{gguf.path}: a qwen2 model with {shape.head_dim} per head is not known")
    config = _base_config(gguf, shape, "qwen2", "Qwen2ForCausalLM") | {
        "hidden_act": "silu",
        "rms_norm_eps": _epsilon(gguf, "qwen2.attention.layer_norm_rms_epsilon"),
        "use_sliding_window": False,
    }
    tensors = _gated_layers(shape, query_bias=True, output_bias=False, mlp_bias=False, interleaved=False)
    return ModelPlan(config, (*tensors, *_outer_tensors(gguf, shape, norm_bias=False)))


def _plan_starcoder2(gguf: GgufFile, shape: _Shape) -> ModelPlan:
    if shape.query != shape.hidden:
        raise UnsupportedModelError(f"{gguf.path}: a starcoder2 model with {shape.head_dim} per head is not known")
    bias = "blk.0.attn_q.bias" in gguf.tensors
    window = gguf.integer("starcoder2.attention.sliding_window", 0)
    config = _base_config(gguf, shape, "starcoder2", "Starcoder2ForCausalLM") | {
        "hidden_act": "gelu_pytorch_tanh",
        "norm_epsilon": _epsilon(gguf, "starcoder2.attention.layer_norm_epsilon"),
        "sliding_window": window or None,
        "use_bias": bias,
    }
    tensors: list[PlannedTensor] = []
    for layer in range(shape.layers):
        add = _LayerTensors(tensors, layer)
        add.linear("self_attn.q_proj", "attn_q", (shape.query, shape.hidden), bias=bias)
        add.linear("self_attn.k_proj", "attn_k", (shape.key, shape.hidden), bias=bias)
        add.linear("self_attn.v_proj", "attn_v", (shape.key, shape.hidden), bias=bias)
        add.linear("self_attn.o_proj", "attn_output", (shape.hidden, shape.query), bias=bias)
        add.linear("mlp.c_fc", "ffn_up", (shape.feed_forward, shape.hidden), bias=bias)
        add.linear("mlp.c_proj", "ffn_down", (shape.hidden, shape.feed_forward), bias=bias)
        add.linear("input_layernorm", "attn_norm", (shape.hidden,), bias=True)
        add.linear("post_attention_layernorm", "ffn_norm", (shape.hidden,), bias=True)
    return ModelPlan(config, (*tensors, *_outer_tensors(gguf, shape, norm_bias=True)))


_ARCHITECTURES: Mapping[str, Callable[[GgufFile, _Shape], ModelPlan]] = {
    "llama": _plan_llama,
    "qwen2": _plan_qwen2,
    "starcoder2": _plan_starcoder2,
}

SUPPORTED_ARCHITECTURES = tuple(sorted(_ARCHITECTURES))


@dataclass(frozen=True)
class _LayerTensors:
    """Collects the tensors of one layer."""

    tensors: list[PlannedTensor]
    layer: int

    def linear(
        self, name: str, gguf_name: str, shape: tuple[int, ...], *, bias: bool, rope_heads: int = 0
    ) -> None:
        """Add a weight of ``shape`` and, with ``bias``, a bias of its first dimension."""
        full_name, full_gguf_name = f"model.layers.{self.layer}.{name}", f"blk.{self.layer}.{gguf_name}"
        self.tensors.append(PlannedTensor(f"{full_name}.weight", f"{full_gguf_name}.weight", shape, rope_heads))
        if bias:
            self.tensors.append(
                PlannedTensor(f"{full_name}.bias", f"{full_gguf_name}.bias", shape[:1], rope_heads)
            )


def _gated_layers(
    shape: _Shape, *, query_bias: bool, output_bias: bool, mlp_bias: bool, interleaved: bool
) -> list[PlannedTensor]:
    """The layers of the Llama family: RMS norms and a gated MLP."""
    tensors: list[PlannedTensor] = []
    query_heads, key_heads = (shape.heads, shape.kv_heads) if interleaved else (0, 0)
    for layer in range(shape.layers):
        add = _LayerTensors(tensors, layer)
        query, key = (shape.query, shape.hidden), (shape.key, shape.hidden)
        add.linear("self_attn.q_proj", "attn_q", query, bias=query_bias, rope_heads=query_heads)
        add.linear("self_attn.k_proj", "attn_k", key, bias=query_bias, rope_heads=key_heads)
        add.linear("self_attn.v_proj", "attn_v", key, bias=query_bias)
        add.linear("self_attn.o_proj", "attn_output", (shape.hidden, shape.query), bias=output_bias)
        add.linear("mlp.gate_proj", "ffn_gate", (shape.feed_forward, shape.hidden), bias=mlp_bias)
        add.linear("mlp.up_proj", "ffn_up", (shape.feed_forward, shape.hidden), bias=mlp_bias)
        add.linear("mlp.down_proj", "ffn_down", (shape.hidden, shape.feed_forward), bias=mlp_bias)
        add.linear("input_layernorm", "attn_norm", (shape.hidden,), bias=False)
        add.linear("post_attention_layernorm", "ffn_norm", (shape.hidden,), bias=False)
    return tensors


def _outer_tensors(gguf: GgufFile, shape: _Shape, *, norm_bias: bool) -> list[PlannedTensor]:
    tensors = [
        PlannedTensor("model.embed_tokens.weight", "token_embd.weight", (shape.vocab, shape.hidden)),
        PlannedTensor("model.norm.weight", "output_norm.weight", (shape.hidden,)),
    ]
    if norm_bias:
        tensors.append(PlannedTensor("model.norm.bias", "output_norm.bias", (shape.hidden,)))
    if "output.weight" in gguf.tensors:
        tensors.append(PlannedTensor("lm_head.weight", "output.weight", (shape.vocab, shape.hidden)))
    return tensors


def _base_config(gguf: GgufFile, shape: _Shape, model_type: str, class_name: str) -> dict[str, Any]:
    return {
        "architectures": [class_name],
        "model_type": model_type,
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": shape.context,
        "tie_word_embeddings": "output.weight" not in gguf.tensors,
        "rope_parameters": _rope_parameters(gguf, model_type, shape),
    }


def _rope_parameters(gguf: GgufFile, architecture: str, shape: _Shape) -> dict[str, Any]:
    theta = gguf.number(f"{architecture}.rope.freq_base", 10_000.0)
    if "rope_freqs.weight" in gguf.tensors:
        # These factors carry the llama3 rule already worked out; its parameters are not in the file.
        raise UnsupportedModelError(
            f"{gguf.path}: rotary embedding with per-frequency factors (Llama 3.1 and later) cannot be converted; "
            "use the model's safetensors version instead"
        )
    kind = gguf.string(f"{architecture}.rope.scaling.type", "none")
    factor = gguf.number(f"{architecture}.rope.scaling.factor", 0.0)
    if kind == "none" and f"{architecture}.rope.scale_linear" in gguf.metadata:
        kind, factor = "linear", gguf.number(f"{architecture}.rope.scale_linear")
    if kind == "none" or (kind == "linear" and factor in {0.0, 1.0}):
        return {"rope_type": "default", "rope_theta": theta}
    if kind == "linear" and factor > 0:
        return {"rope_type": "linear", "rope_theta": theta, "factor": factor}
    raise UnsupportedModelError(
        f"{gguf.path}: rotary embedding scaled by {kind!r} cannot be converted; use the model's "
        f"safetensors version instead (its context of {shape.context} tokens depends on it)"
    )


def _epsilon(gguf: GgufFile, key: str) -> float:
    """The number as its author wrote it: 1e-05, not the nearest 32-bit float spelled out."""
    value = gguf.number(key)
    if not 0 < value < 1 or not math.isfinite(value):
        raise ModelFormatError(f"{gguf.path}: {key} is {value}, which cannot be right")
    return float(str(np.float32(value)))
