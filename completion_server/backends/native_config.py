"""The numbers in ``config.json`` of the Llama and Qwen2 families that our own forward passes need. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from completion_server.errors import UnsupportedModelError

NATIVE_MODEL_TYPES = frozenset({"llama", "qwen2"})


@dataclass(frozen=True)
class NativeConfig:
    """The numbers of ``config.json`` that the forward pass needs."""

    num_layers: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    max_context: int
    norm_eps: float
    rope_theta: float
    has_tied_embeddings: bool

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> NativeConfig:
        """From a transformers ``config.json``; UnsupportedModelError where this forward would be wrong."""
        if not is_native(config):
            raise UnsupportedModelError(f"no native forward for {config.get('model_type')}")
        num_heads = config["num_attention_heads"]
        return cls(
            num_layers=config["num_hidden_layers"],
            hidden_size=config["hidden_size"],
            intermediate_size=config["intermediate_size"],
            num_heads=num_heads,
            num_kv_heads=config.get("num_key_value_heads") or num_heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // num_heads,
            vocab_size=config["vocab_size"],
            max_context=config.get("max_position_embeddings", 2048),
            norm_eps=config.get("rms_norm_eps", 1e-6),
            rope_theta=_rope_parameters(config).get("rope_theta", config.get("rope_theta", 10_000.0)),
            has_tied_embeddings=bool(config.get("tie_word_embeddings", False)),
        )


def is_native(config: dict[str, Any]) -> bool:
    """Whether ``NativeModel`` computes exactly what this config asks for."""
    rope = _rope_parameters(config)
    return (
        config.get("model_type") in NATIVE_MODEL_TYPES
        and config.get("hidden_act", "silu") == "silu"
        and rope.get("rope_type", rope.get("type", "default")) == "default"
        and not config.get("mlp_bias", False)
        and not config.get("use_sliding_window", False)
        and "quantization_config" not in config
    )


def _rope_parameters(config: dict[str, Any]) -> dict[str, Any]:
    """transformers 5 writes ``rope_parameters``, earlier releases ``rope_scaling``."""
    return config.get("rope_parameters") or config.get("rope_scaling") or {}
