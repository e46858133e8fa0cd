"""Bounds on the numbers in ``config.json``, looked at before anything is allocated for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from completion_server.errors import ModelFormatError

_LARGEST: Mapping[str, int] = {
    "hidden_size": 65_536, "n_embd": 65_536, "d_model": 65_536, "intermediate_size": 1_000_000,
    "n_inner": 1_000_000, "num_hidden_layers": 1_000, "n_layer": 1_000, "num_layers": 1_000,
    "num_attention_heads": 4_096, "n_head": 4_096, "num_key_value_heads": 4_096, "head_dim": 8_192,
    "vocab_size": 4_000_000, "max_position_embeddings": 20_000_000, "n_positions": 20_000_000,
    "n_ctx": 20_000_000, "sliding_window": 20_000_000, "num_local_experts": 4_096, "num_experts": 4_096,
    "moe_intermediate_size": 1_000_000,
}  # fmt: skip
_FRACTIONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "rope_theta", "initializer_range")
_CODE_KEYS = frozenset({
    "attn_implementation", "_attn_implementation", "_attn_implementation_internal", "_attn_implementation_autoset",
    "experts_implementation", "_experts_implementation", "_experts_implementation_internal", "auto_map",
    "custom_pipelines", "custom_generate", "trust_remote_code", "kernel_config", "use_kernels", "_commit_hash",
    "_name_or_path", "name_or_path",
})  # fmt: skip
"""Keys by which a config makes transformers look for code, kernels or other models."""
_MAX_DEPTH = 6


def check_config(config: Mapping[str, Any], path: Path, depth: int = 0) -> None:
    """Raises ModelFormatError with the key in question, and in nested configs too (``text_config``)."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            if depth == _MAX_DEPTH:
                raise ModelFormatError(f"{path} is nested too deeply")
            check_config(value, path, depth + 1)
        elif key in _LARGEST and value is not None:
            _check_count(key, value, path)
        elif key in _FRACTIONS and value is not None:
            _check_fraction(key, value, path)


def without_code(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` without the keys that make transformers look for code anywhere."""
    return {
        key: without_code(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in _CODE_KEYS
    }


def _check_count(key: str, value: object, path: Path) -> None:
    largest = _LARGEST[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise ModelFormatError(
            f"{path}: {key} is {_shown(value)}, and has to be a whole number up to {largest:,}; the folder is"
            " damaged or no model: fetch it again"
        )


def _check_fraction(key: str, value: object, path: Path) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(float(str(value)[:40])):
        raise ModelFormatError(f"{path}: {key} is {_shown(value)}, and has to be a number; fetch the model again")


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**20 else "far too large"
    return text if len(text) <= 40 else text[:37] + "..."
