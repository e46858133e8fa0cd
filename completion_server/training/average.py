"""``train export --average-with``: the mean of a run's adapter and of an earlier one it came from.

Late weights know more, early ones are nearer to the base; their mean often keeps what both can do (model soups,
Wortsman et al. 2022, arXiv 2203.05482). What is averaged is the change of the base's weights. That has up to twice
the rank, so it is cut back to the adapters' own by singular values: no matrix of that rank is nearer (Eckart and
Young 1936).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from completion_server.training.earlier_stage import AVERAGED_WITH, EarlierStage, is_another_base
from completion_server.training.error import TrainingError
from completion_server.training.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_adapter_config

_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_BASE = "base_model_name_or_path"
_SAME = ("r", "lora_alpha", "trainable_token_indices", "completion_server")


def average_adapters(newest: Path, earlier: EarlierStage, target: Path) -> Path:
    """Write the mean of ``newest`` (a checkpoint) and ``earlier`` to ``target`` (created), and return it.

    The result has ``newest``'s facts, and says what it was averaged with. Raises TrainingError when the two are
    not adapters of one shape for one base, or ``target`` cannot be written.
    """
    config, other = read_adapter_config(newest), read_adapter_config(earlier.adapter)
    different = [_BASE] if is_another_base(str(config.get(_BASE)), str(other.get(_BASE))) else []
    different += [name for name in _SAME if config.get(name) != other.get(name)]
    if different:
        raise TrainingError(f"{newest} and {earlier.adapter} cannot be averaged: another {', '.join(different)}")
    try:
        tensors = _average(load_file(newest / ADAPTER_WEIGHTS), load_file(earlier.adapter / ADAPTER_WEIGHTS))
        state = json.loads((newest / "state.json").read_text(encoding="utf-8"))
        state[AVERAGED_WITH] = sum(stage["num_tokens"] for stage in earlier.stages)
        target.mkdir(parents=True, exist_ok=True)
        save_file(tensors, target / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        shutil.copyfile(newest / ADAPTER_CONFIG, target / ADAPTER_CONFIG)
        (target / "state.json").write_text(json.dumps(state) + "\n", encoding="utf-8")
    except (OSError, KeyError, RuntimeError, ValueError, SafetensorError) as error:
        raise TrainingError(f"{newest} and {earlier.adapter} cannot be averaged: {error}") from error
    return target


def _average(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if first.keys() != second.keys():
        raise ValueError("they change different weights")
    result: dict[str, torch.Tensor] = {}
    for name, tensor in first.items():
        if name.endswith(_DOWN):
            up = name.removesuffix(_DOWN) + _UP
            pairs = [(each[up].double(), each[name].double()) for each in (first, second)]
            result[up], result[name] = (each.to(tensor.dtype) for each in _mean_of_products(pairs, len(tensor)))
        elif not name.endswith(_UP):
            result[name] = ((tensor.float() + second[name].float()) / 2).to(tensor.dtype)
    return result


def _mean_of_products(
    pairs: list[tuple[torch.Tensor, torch.Tensor]], rank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """B (outputs, rank) and A (rank, inputs) with the product nearest to the mean of the pairs' products.

    By way of two QR decompositions, so that no matrix of the base's size is decomposed.
    """
    outer, inner = torch.linalg.qr(torch.cat([up for up, _ in pairs], dim=1))
    outer_t, inner_t = torch.linalg.qr(torch.cat([down for _, down in pairs]).T)
    left, values, right = torch.linalg.svd(inner @ inner_t.T / len(pairs), full_matrices=False)
    scale = values[:rank].sqrt()
    up, down = outer @ (left[:, :rank] * scale), (scale[:, None] * right[:rank]) @ outer_t.T
    missing = rank - len(scale)  # a weight smaller than the rank
    up = torch.nn.functional.pad(up, (0, missing))
    return up.contiguous(), torch.nn.functional.pad(down, (0, 0, 0, missing)).contiguous()
