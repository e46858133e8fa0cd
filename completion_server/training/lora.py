"""LoRA adapters on the disk, in the format of the peft library: safetensors and ``adapter_config.json``.

Two matrices per linear map, A (rank, inputs) and B (outputs, rank), applied as W + alpha/rank * B A; and the
embeddings of the tokens that were given a new meaning, one row each. Hu et al. 2021 (arXiv 2106.09685).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from completion_server.training.decoder import Decoder
from completion_server.training.error import TrainingError

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
_PREFIX = "base_model.model."
_ROWS = f"{_PREFIX}model.embed_tokens.token_adapter.trainable_tokens_delta"
"""peft's name; the values are the rows themselves."""


@dataclass(frozen=True)
class AdapterFacts:
    """What an adapter says about itself besides its weights."""

    base_model: str
    fim_format: str | None = None
    token_spellings: Mapping[str, str] | None = None
    """Spelling in the base's tokenizer -> spelling from now on, for tokens that were given a new meaning."""


def save_adapter(
    directory: Path, decoder: Decoder, facts: AdapterFacts, dtype: torch.dtype = torch.bfloat16
) -> Path:
    """Write the adapter of ``decoder`` into ``directory`` (created), rounded to ``dtype``; raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, torch.Tensor] = {}
    for projection in decoder.projections():
        for name, down, up in zip(projection.names, projection.lora_a, projection.lora_b, strict=True):
            tensors[f"{_PREFIX}{name}.lora_A.weight"] = down.detach().to("cpu", dtype).contiguous()
            tensors[f"{_PREFIX}{name}.lora_B.weight"] = up.detach().to("cpu", dtype).contiguous()
    if decoder.settings.row_ids:
        tensors[_ROWS] = decoder.rows.detach().to("cpu", dtype).contiguous()
    save_file(tensors, directory / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    config = json.dumps(_config(decoder, facts), indent=2)
    (directory / ADAPTER_CONFIG).write_text(config + "\n", encoding="utf-8")
    return directory


def _config(decoder: Decoder, facts: AdapterFacts) -> dict[str, Any]:
    """peft reads the first part; ``completion_server`` is ours, and peft passes it over with a warning."""
    modules = sorted({name.rsplit(".", 1)[1] for each in decoder.projections() for name in each.names})
    rows = list(decoder.settings.row_ids)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": facts.base_model,
        "inference_mode": True,
        "r": decoder.settings.rank,
        "lora_alpha": decoder.settings.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": modules,
        "trainable_token_indices": {"embed_tokens": rows} if rows else None,
        "completion_server": {
            "fim_format": facts.fim_format,
            "token_spellings": dict(facts.token_spellings or {}),
        },
    }


def load_adapter(directory: Path, decoder: Decoder) -> None:
    """Put the adapter in ``directory`` into ``decoder``. Raises TrainingError when it does not fit."""
    try:
        tensors = load_file(directory / ADAPTER_WEIGHTS)
        with torch.no_grad():
            for projection in decoder.projections():
                for name, down, up in zip(projection.names, projection.lora_a, projection.lora_b, strict=True):
                    down.copy_(tensors[f"{_PREFIX}{name}.lora_A.weight"])
                    up.copy_(tensors[f"{_PREFIX}{name}.lora_B.weight"])
            if decoder.settings.row_ids:
                decoder.rows.copy_(tensors[_ROWS])
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise TrainingError(f"the adapter in {directory} does not fit this model: {error}") from error


def read_adapter_config(directory: Path) -> dict[str, Any]:
    """``adapter_config.json``; raises TrainingError."""
    try:
        config = json.loads((directory / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{directory} is no adapter: {error}") from error
    if not isinstance(config, dict):
        raise TrainingError(f"{directory} is no adapter: {ADAPTER_CONFIG} is not a JSON object")
    return config
