"""An adapter and its base become one model directory, which the server loads like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from completion_server.catalog.origin import write_origin
from completion_server.training.decoder import EMBEDDING
from completion_server.training.error import TrainingError
from completion_server.training.lora import ADAPTER_WEIGHTS, read_adapter_config
from completion_server.training.vocabulary import respell_tokenizer

_PREFIX = "base_model.model."
_COPIED = ("config.json", "generation_config.json")


def merge_adapter(base: Path, adapter: Path, target: Path) -> None:
    """Write ``base`` with ``adapter`` merged into ``target`` (created); weights keep the base's types.

    Raises TrainingError when the two do not fit or ``target`` cannot be written.
    """
    config = read_adapter_config(adapter)
    try:
        weights = load_file(base / "model.safetensors")
        tensors = load_file(adapter / ADAPTER_WEIGHTS)
        scale = config["lora_alpha"] / config["r"]
        for name in [name for name in tensors if name.endswith(".lora_A.weight")]:
            stem = name.removesuffix(".lora_A.weight")
            weight = f"{stem.removeprefix(_PREFIX)}.weight"
            delta = tensors[f"{stem}.lora_B.weight"].float() @ tensors[name].float()
            weights[weight] = (weights[weight].float() + scale * delta).to(weights[weight].dtype)
        rows = (config.get("trainable_token_indices") or {}).get("embed_tokens", [])
        if rows:
            embedding = weights[EMBEDDING].clone()
            embedding[rows] = tensors[f"{_PREFIX}model.embed_tokens.token_adapter.trainable_tokens_delta"].to(
                embedding.dtype
            )
            weights[EMBEDDING] = embedding
        target.mkdir(parents=True, exist_ok=True)
        spellings = config.get("completion_server", {}).get("token_spellings", {})
        respell_tokenizer(base, target, spellings)
        for name in _COPIED:
            if (base / name).is_file():
                shutil.copyfile(base / name, target / name)
        save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
        write_origin(target, str(config.get("base_model_name_or_path", "")))
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise TrainingError(f"the adapter {adapter} cannot be merged into {base}: {error}") from error


def write_model(
    directory: Path, weights: dict[str, torch.Tensor], config: dict[str, object], tokenizer: Path
) -> None:
    """A model directory of ``weights`` and the tokenizer files of ``tokenizer``. Raises TrainingError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        respell_tokenizer(tokenizer, directory, {})
        (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        tensors = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
        save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    except OSError as error:
        raise TrainingError(f"{directory} cannot be written: {error}") from error
