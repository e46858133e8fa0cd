"""A directory of safetensors becomes a ``CausalLM``: device, weight type, threads, native or transformers.

Reads safetensors only (never pickle) and never runs code that comes with a model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from completion_server.backends.native import NativeConfig, NativeModel, is_native
from completion_server.config import ModelSettings
from completion_server.errors import ModelFormatError, UnsupportedModelError
from completion_server.model import CausalLM

Progress = Callable[[str, float | None], None]

_INDEX_NAME = "model.safetensors.index.json"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class LoadedModel:
    """A model and the facts a user may ask about it."""

    model: CausalLM
    model_type: str
    device: str
    dtype: str
    backend: str
    num_weight_bytes: int


def load_model(directory: Path, settings: ModelSettings, progress: Progress) -> LoadedModel:
    """Load the weights in ``directory``; ModelError says what is wrong and what to do."""
    config = read_config(directory)
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    model_type = str(config.get("model_type", "unknown"))
    progress(f"loading {model_type} weights", None)
    model: NativeModel | Any
    if is_native(config):
        backend = "native"
        model = _load_native(directory, config, dtype, device)
    else:
        backend = "transformers"
        model = _load_with_transformers(directory, dtype, device)
    dtype_name = str(dtype).removeprefix("torch.")
    return LoadedModel(model, model_type, str(device), dtype_name, backend, model.num_weight_bytes)


def choose_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then MPS, then the CPU; a device that is not there falls back to the CPU."""
    has_mps = torch.backends.mps.is_available()
    if name in {"auto", "cuda"} and torch.cuda.is_available():
        return torch.device("cuda")
    if name in {"auto", "mps"} and has_mps:
        return torch.device("mps")
    return torch.device("cpu")


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto``: bfloat16 on CUDA and on a CPU that multiplies it in hardware, float16 on MPS, else float32.

    Without such instructions a bfloat16 product on a CPU is about a hundred times slower than float32.
    """
    if name != "auto":
        return _DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if _has_fast_bfloat16() else torch.float32


def _has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check is not None and check() for check in checks)


def use_threads(num_threads: int) -> int:
    """Set the CPU threads of one forward pass; 0 keeps torch's choice. Returns the number in use."""
    if num_threads:
        torch.set_num_threads(num_threads)
    return torch.get_num_threads()


def read_config(directory: Path) -> dict[str, Any]:
    path = directory / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelFormatError(f"{directory} has no config.json: not a model directory") from None
    except (OSError, ValueError) as error:
        raise ModelFormatError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise ModelFormatError(f"{path} is not a JSON object")
    return config


class _WeightFiles:
    """Tensors by name out of one safetensors file or a sharded set, memory-mapped."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self._files: dict[str, Any] = {}

    def __enter__(self) -> _WeightFiles:
        try:
            for name in _shard_names(self._directory):
                handle = self._stack.enter_context(safe_open(self._directory / name, framework="pt"))
                self._files.update(dict.fromkeys(handle.keys(), handle))
        except (OSError, SafetensorError) as error:
            self._stack.close()
            raise ModelFormatError(f"weights in {self._directory} cannot be read: {error}") from error
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def get(self, name: str) -> torch.Tensor:
        tensor: torch.Tensor = self._files[name].get_tensor(name)
        return tensor


def _shard_names(directory: Path) -> list[str]:
    if (directory / "model.safetensors").is_file():
        return ["model.safetensors"]
    index = directory / _INDEX_NAME
    if not index.is_file():
        raise ModelFormatError(
            f"{directory} has no model.safetensors. Only safetensors are read, never pickle (.bin, .pt):"
            " get the model in safetensors, or convert it once with transformers' save_pretrained()."
        )
    names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    if any(Path(name).name != name for name in names):
        raise ModelFormatError(f"{index} names files outside its directory")
    return names


def _load_native(directory: Path, config: dict[str, Any], dtype: torch.dtype, device: torch.device) -> NativeModel:
    with _WeightFiles(directory) as weights:
        try:
            return NativeModel(NativeConfig.from_dict(config), weights.get, dtype, device)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ModelFormatError(f"config.json and the weights in {directory} do not fit: {error}") from error


def _load_with_transformers(directory: Path, dtype: torch.dtype, device: torch.device) -> Any:
    _shard_names(directory)
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    from completion_server.backends.hf import TransformersModel

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=dtype,
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
        )
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise UnsupportedModelError(f"transformers cannot load {directory}: {error}") from error
    return TransformersModel(model.to(device))
