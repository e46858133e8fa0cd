"""A directory of safetensors becomes a ``CausalLM`` on torch: device, weight type, native or transformers.

Reads safetensors only (never pickle) and never runs code that comes with a model.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from completion_server.backends.config_limits import without_code
from completion_server.backends.native import NativeModel
from completion_server.backends.native_config import NativeConfig, is_native
from completion_server.backends.weight_files import weight_paths
from completion_server.errors import ModelFormatError, UnsupportedModelError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_torch_model(
    directory: Path, config: dict[str, Any], device: torch.device, dtype: torch.dtype
) -> tuple[NativeModel | Any, str]:
    """The model in ``directory`` and the backend's name; ModelError says what is wrong and what to do."""
    if is_native(config):
        return _load_native(directory, config, dtype, device), "native"
    return _load_with_transformers(directory, config, dtype, device), "transformers"


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


class _WeightFiles:
    """Tensors by name out of one safetensors file or a sharded set, memory-mapped."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self._files: dict[str, Any] = {}

    def __enter__(self) -> _WeightFiles:
        try:
            for path in weight_paths(self._directory):
                handle = self._stack.enter_context(safe_open(path, framework="pt"))
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


def _load_native(directory: Path, config: dict[str, Any], dtype: torch.dtype, device: torch.device) -> NativeModel:
    with _WeightFiles(directory) as weights:
        try:
            return NativeModel(NativeConfig.from_dict(config), weights.get, dtype, device)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ModelFormatError(f"config.json and the weights in {directory} do not fit: {error}") from error


def _load_with_transformers(
    directory: Path, config: dict[str, Any], dtype: torch.dtype, device: torch.device
) -> Any:
    weight_paths(directory)
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    from completion_server.backends.hf import TransformersModel

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        model = _from_pretrained(AutoModelForCausalLM, directory, config, dtype)
    except Exception as error:
        raise UnsupportedModelError(f"transformers cannot load {directory}: {error}") from error
    return TransformersModel(model.to(device))


def _from_pretrained(model_class: Any, directory: Path, config: dict[str, Any], dtype: torch.dtype) -> Any:
    """The model, with a config that names no code, and with an implementation of attention that torch brings."""
    from transformers import AutoConfig

    values = without_code(config)
    own_config = AutoConfig.for_model(values.pop("model_type", ""), **values)
    options = {
        "config": own_config,
        "dtype": dtype,
        "trust_remote_code": False,
        "use_safetensors": True,
        "local_files_only": True,
    }
    try:
        return model_class.from_pretrained(directory, attn_implementation="sdpa", **options)
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error) and "sdpa" not in str(error):
            raise
        return model_class.from_pretrained(directory, attn_implementation="eager", **options)
