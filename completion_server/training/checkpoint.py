"""Checkpoints of a run: safetensors and JSON, never pickle; whole or not there at all.

A checkpoint is written beside its place, flushed to the disk, and renamed. Whatever happens in between (a full
disk, an interrupt, a power cut), the one before is still good.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from completion_server.training.error import TrainingError

_NAME = re.compile(r"step-(\d{8})")
_TRAINABLE, _OPTIMIZER, _STATE = "trainable.safetensors", "optimizer.safetensors", "state.json"
_RNG = "torch_rng_state"


@dataclass
class RunState:
    """Where a run stands. ``num_examples`` is the place in the data; ``elapsed_s`` training time, all starts."""

    step: int = 0
    num_examples: int = 0
    num_tokens: int = 0
    elapsed_s: float = 0.0
    num_skipped_steps: int = 0


def save_checkpoint(
    directory: Path,
    state: RunState,
    parameters: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    fingerprint: str,
    write_more: Callable[[Path], object] = lambda _: None,
) -> Path:
    """Write ``directory``/step-NNNNNNNN. ``write_more`` puts further files into it. Raises TrainingError when the
    disk does not take it."""
    target = directory / f"step-{state.step:08d}"
    staging = directory / f"{target.name}.incomplete"
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        save_file(
            {name: each.detach().cpu().contiguous() for name, each in parameters.items()}, staging / _TRAINABLE
        )
        save_file(_optimizer_tensors(parameters, optimizer), staging / _OPTIMIZER)
        write_more(staging)
        text = json.dumps({"fingerprint": fingerprint, **asdict(state)}, indent=1)
        (staging / _STATE).write_text(text + "\n", encoding="utf-8")
        for path in staging.rglob("*"):
            if path.is_file():
                with path.open("rb+") as stream:
                    os.fsync(stream.fileno())
        shutil.rmtree(target, ignore_errors=True)
        staging.rename(target)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise TrainingError(
            f"the checkpoint of step {state.step} cannot be written to {directory}: {error}; the one before is "
            "kept. Free some space and start the same command again"
        ) from error
    return target


def load_checkpoint(
    path: Path,
    parameters: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    fingerprint: str,
) -> RunState:
    """Restore parameters, optimizer and torch's random state from ``path``. Raises TrainingError when the
    checkpoint is damaged or belongs to a run with other settings."""
    try:
        raw: dict[str, Any] = json.loads((path / _STATE).read_text(encoding="utf-8"))
        if raw.pop("fingerprint") != fingerprint:
            raise TrainingError(
                f"{path} belongs to a run with another model, corpus or recipe: use another directory for this one"
            )
        weights, moments = load_file(path / _TRAINABLE), load_file(path / _OPTIMIZER)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(weights[name])
        _restore_optimizer(parameters, optimizer, moments)
        torch.set_rng_state(moments[_RNG])
        return RunState(**raw)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise TrainingError(f"the checkpoint {path} cannot be read: {error}") from error


def find_checkpoints(directory: Path) -> list[Path]:
    """Whole checkpoints in ``directory``, oldest first."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name) and (path / _STATE).is_file())


def newest_adapter(run: Path) -> Path:
    """The directory of the newest adapter of a run: of its latest finish, else of its last checkpoint.

    Raises TrainingError where there is none.
    """
    for each in (*sorted(run.glob("finish-*"), reverse=True), run):
        if found := find_checkpoints(each / "checkpoints"):
            return found[-1]
    raise TrainingError(f"{run} has no checkpoint")


def remove_old_checkpoints(directory: Path, num_kept: int) -> None:
    """Delete all but the newest ``num_kept``, and what interrupted writes left."""
    for path in find_checkpoints(directory)[:-num_kept]:
        shutil.rmtree(path, ignore_errors=True)
    for path in directory.glob("step-*.incomplete"):
        shutil.rmtree(path, ignore_errors=True)


def _optimizer_tensors(
    parameters: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    tensors = {_RNG: torch.get_rng_state()}
    for name, parameter in parameters.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{name}/{key}"] = value.detach().cpu().contiguous()
    return tensors


def _restore_optimizer(
    parameters: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, torch.Tensor],
) -> None:
    by_name: dict[str, dict[str, torch.Tensor]] = {}
    for full_name, tensor in tensors.items():
        name, _, key = full_name.rpartition("/")
        by_name.setdefault(name, {})[key] = tensor
    for name, parameter in parameters.items():
        for key, tensor in by_name.get(name, {}).items():
            # Adam's step counter stays on the CPU, the moments go where the parameter is.
            is_counter = tensor.ndim == 0
            optimizer.state[parameter][key] = tensor.clone() if is_counter else tensor.to(parameter.device).clone()
