"""A directory of safetensors becomes a ``CausalLM``: on ONNX Runtime in int8 where that is right, else on torch.

torch is imported only when it computes: it takes seconds and hundreds of megabytes.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from completion_server.backends.config_limits import check_config
from completion_server.backends.native_config import NativeConfig, is_native
from completion_server.backends.threads import choose_num_threads
from completion_server.backends.tuning import with_tuning
from completion_server.backends.weight_files import weight_paths
from completion_server.config import ModelSettings, limit_thread_spinning
from completion_server.errors import ModelError, ModelFormatError, UnsupportedModelError
from completion_server.model import CausalLM
from completion_server.safe_files import read_bounded

Progress = Callable[[str, float | None], None]

_MAX_CONFIG_BYTES = 4 << 20

# What drivers leave on a disk: NVIDIA's and AMD's on Linux, Windows' inside its Linux, NVIDIA's on Windows.
_DRIVER_TRACES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg", "C:/Windows/System32/nvcuda.dll")


@dataclass(frozen=True)
class LoadedModel:
    """A model and the facts a user may ask about it."""

    model: CausalLM
    model_type: str
    device: str
    dtype: str
    backend: str
    num_weight_bytes: int
    num_threads: int


def load_model(directory: Path, settings: ModelSettings, cache_dir: Path, progress: Progress) -> LoadedModel:
    """Load the weights in ``directory``; ModelError says what is wrong and what to do.

    What is made from the weights is kept in ``cache_dir``, and what ``doctor`` found best is read there.
    """
    config = read_config(directory)
    try:
        return _load(directory, config, settings, cache_dir, progress)
    except ModelError as error:
        if str(directory) in str(error):
            raise
        raise type(error)(f"the model in {directory} cannot be loaded: {error}") from error
    except MemoryError as error:
        raise ModelError(f"there is not enough memory for the model in {directory}; try a smaller one") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFormatError(
            f"the model in {directory} cannot be loaded, its files do not fit together"
            f" ({type(error).__name__}: {error}); fetch it again"
        ) from error


def _load(
    directory: Path, config: dict[str, Any], settings: ModelSettings, cache_dir: Path, progress: Progress
) -> LoadedModel:
    settings = with_tuning(settings, directory, cache_dir)
    if wants_int8(config, settings):
        return _load_int8(directory, config, settings, cache_dir, progress)
    return _load_with_torch(directory, config, settings, progress)


def wants_int8(config: dict[str, Any], settings: ModelSettings) -> bool:
    """Whether this model runs in int8 on ONNX Runtime: ``auto`` takes it on a machine without a GPU.

    Raises UnsupportedModelError when it is asked for and impossible.
    """
    if settings.dtype not in {"auto", "int8"}:
        return False
    is_possible = _can_int8(config) and settings.device in {"auto", "cpu"}
    if settings.dtype == "int8":
        if not is_possible:
            raise UnsupportedModelError(
                f"int8 is for the Llama and Qwen2 families on a CPU, and this is {config.get('model_type')} on"
                f" {settings.device}: set model.dtype to auto"
            )
        return True
    return is_possible and (settings.device == "cpu" or not _may_have_gpu() or not _has_gpu())


def read_config(directory: Path) -> dict[str, Any]:
    """The content of ``config.json``, with sane numbers. Raises ModelFormatError."""
    path = directory / "config.json"
    try:
        config = json.loads(read_bounded(path, _MAX_CONFIG_BYTES).decode("utf-8"))
    except FileNotFoundError:
        raise ModelFormatError(f"{directory} has no config.json: not a model directory") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise ModelFormatError(f"{path} is not a JSON object")
    check_config(config, path)
    return config


def _can_int8(config: dict[str, Any]) -> bool:
    if not is_native(config) or util.find_spec("onnxruntime") is None or util.find_spec("onnx") is None:
        return False
    from completion_server.backends.int8_weights import is_int8_able

    try:
        return is_int8_able(NativeConfig.from_dict(config))
    except (KeyError, TypeError, ZeroDivisionError):
        return False  # the torch backend says what is wrong with such a config


def _may_have_gpu() -> bool:
    """Whether asking torch for a GPU is worth the seconds that importing it takes."""
    if platform.system() == "Darwin":
        return platform.machine() == "arm64"
    return any(Path(path).exists() for path in _DRIVER_TRACES)


def _has_gpu() -> bool:
    from completion_server.backends.torch_loading import choose_device

    return choose_device("auto").type != "cpu"


def _load_int8(
    directory: Path, config: dict[str, Any], settings: ModelSettings, cache_dir: Path, progress: Progress
) -> LoadedModel:
    from completion_server.backends.int8 import Int8Model
    from completion_server.backends.int8_weights import load_int8_weights

    progress("loading int8 weights", None)
    num_threads = choose_num_threads(settings.num_threads)
    try:
        native = NativeConfig.from_dict(config)
        weights = load_int8_weights(native, weight_paths(directory), cache_dir)
        model = Int8Model(native, weights, num_threads)
    except (KeyError, TypeError) as error:
        raise ModelFormatError(f"config.json and the weights in {directory} do not fit: {error}") from error
    return LoadedModel(
        model, str(config["model_type"]), "cpu", "int8", "onnxruntime", model.num_weight_bytes, num_threads
    )


def _load_with_torch(
    directory: Path, config: dict[str, Any], settings: ModelSettings, progress: Progress
) -> LoadedModel:
    progress("starting torch", None)
    limit_thread_spinning()
    import torch

    from completion_server.backends.torch_loading import choose_device, choose_dtype, load_torch_model

    if settings.num_threads:
        torch.set_num_threads(settings.num_threads)
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    model_type = str(config.get("model_type", "unknown"))
    progress(f"loading {model_type} weights", None)
    model, backend = load_torch_model(directory, config, device, dtype)
    return LoadedModel(
        model,
        model_type,
        str(device),
        str(dtype).removeprefix("torch."),
        backend,
        model.num_weight_bytes,
        torch.get_num_threads(),
    )
