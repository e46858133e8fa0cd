"""Weights as int8 in blocks of 16 with one scale each, and the file that keeps them from one start to the next.

Weight-only rounding to the nearest of 255 steps, block by block (the layout of ONNX Runtime's
MatMulNBits). Making them takes about a second per hundred million weights, so they are made once per model.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from completion_server.backends.native_config import NativeConfig
from completion_server.backends.weight_files import WeightFiles
from completion_server.catalog.checksums import find_damaged, record
from completion_server.errors import ModelFormatError

BLOCK = 16
"""Weights that share a scale. Larger blocks agree less with float32 and are hardly faster."""

_ZERO = 128  # the code of weight 0
_STEPS = 127
_ROWS_AT_ONCE = 4096
_FORMAT = "1"  # part of every file name; another number makes every file again
_log = logging.getLogger(__name__)


def is_int8_able(config: NativeConfig) -> bool:
    """Whether every product of ``config`` falls into whole blocks, and its heads suit the attention kernel."""
    widths = (config.hidden_size, config.intermediate_size, config.num_heads * config.head_dim)
    return all(width % BLOCK == 0 for width in widths) and config.head_dim % 16 == 0


def quantize(weight: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Codes (N, K/16, 16) and scales (N, K/16) of ``weight`` (N, K), whose value is ``(code - 128) * scale``."""
    blocks = weight.reshape(len(weight), -1, BLOCK)
    scales = np.abs(blocks).max(axis=-1) / np.float32(_STEPS)
    steps = np.rint(blocks / np.where(scales == 0, np.float32(1), scales)[..., np.newaxis])
    return (steps + _ZERO).astype(np.uint8), scales


def dequantize(codes: npt.NDArray[np.uint8], scales: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Weights (N, K) of codes (N, K/16, 16) and scales (N, K/16)."""
    values: npt.NDArray[np.float32] = (codes.astype(np.float32) - np.float32(_ZERO)) * scales[..., np.newaxis]
    return values.reshape(len(codes), -1)


def load_int8_weights(config: NativeConfig, paths: Sequence[Path], cache_dir: Path) -> WeightFiles:
    """The int8 weights of the model in ``paths``, from ``cache_dir`` or made now.

    Names: ``embedding``, ``head`` (unless tied), ``L.qkv``, ``L.output``, ``L.gate_up``, ``L.down``, each as
    ``NAME.codes`` and ``NAME.scales``; ``L.qkv.bias`` and ``L.output.bias`` where there are; ``L.attention_norm``,
    ``L.mlp_norm``, ``norm``. Raises ModelFormatError when config and weights do not fit.
    """
    kept = _kept_path(paths, cache_dir)
    if _is_whole(kept):
        with contextlib.suppress(ModelFormatError):
            return WeightFiles([kept])
    try:
        arrays = dict(_quantized(config, WeightFiles(paths)))
    except (KeyError, ValueError) as error:
        raise ModelFormatError(f"config.json and the weights in {paths[0].parent} do not fit: {error}") from error
    try:
        return _keep(arrays, kept, paths[0].resolve().parent)
    except OSError as error:
        _log.warning("int8 weights cannot be kept in %s, so every start makes them again: %s", cache_dir, error)
        return WeightFiles.of_arrays(arrays)


def _is_whole(kept: Path) -> bool:
    """Whether int8 weights are there, and are what was written."""
    try:
        damaged = find_damaged(kept.parent, [kept], _checksums_of(kept))
    except OSError:
        return False
    if damaged is not None:
        _log.warning("the int8 weights %s are damaged and are made again", kept)
    return damaged is None


def _checksums_of(kept: Path) -> Path:
    return kept.with_suffix(".checksums.json")


def _kept_path(paths: Sequence[Path], cache_dir: Path) -> Path:
    """One name per place and content; content by size and time of change, as reading all of it takes long.

    The format belongs to the place, so that another version of this program keeps weights of its own.
    """
    place = hashlib.sha256(f"{_FORMAT} {paths[0].resolve().parent}".encode()).hexdigest()[:16]
    try:
        facts = [(path.name, (status := path.stat()).st_size, status.st_mtime_ns) for path in paths]
    except OSError as error:
        raise ModelFormatError(f"weights in {paths[0].parent} cannot be read: {error}") from error
    content = hashlib.sha256(repr((BLOCK, facts)).encode()).hexdigest()[:16]
    return cache_dir / "int8" / f"{place}-{content}.safetensors"


def _keep(arrays: dict[str, npt.NDArray[np.generic]], path: Path, model: Path) -> WeightFiles:
    """Write ``arrays`` whole or not at all; drop what was made of models that have changed or are gone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        save_file(arrays, partial, metadata={"model": str(model)})
        partial.replace(path)
        record(path.parent, [path], _checksums_of(path))
    finally:
        partial.unlink(missing_ok=True)
    for other in path.parent.glob("*.safetensors"):
        if other != path and (_place_of(other) == _place_of(path) or not _is_of_a_model(other)):
            with contextlib.suppress(OSError):
                other.unlink()
                _checksums_of(other).unlink(missing_ok=True)
    return WeightFiles([path])


def _place_of(kept: Path) -> str:
    return kept.name.partition("-")[0]


def _is_of_a_model(kept: Path) -> bool:
    """Whether the model that ``kept`` was made of is still there."""
    try:
        with safe_open(kept, "np") as file:
            return Path(file.metadata()["model"]).is_dir()
    except (OSError, SafetensorError, KeyError, TypeError):
        return False


def _quantized(config: NativeConfig, weights: WeightFiles) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    def blocks(name: str, *sources: str) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
        pieces = [
            quantize(weights.get_float32(source, slice(start, start + _ROWS_AT_ONCE)))
            for source in sources
            for start in range(0, weights.shape(source)[0], _ROWS_AT_ONCE)
        ]
        yield f"{name}.codes", np.concatenate([codes for codes, _ in pieces])
        yield f"{name}.scales", np.concatenate([scales for _, scales in pieces])

    yield from blocks("embedding", "model.embed_tokens.weight")
    if not config.has_tied_embeddings:
        yield from blocks("head", "lm_head.weight")
    yield "norm", weights.get_float32("model.norm.weight")
    for index in range(config.num_layers):
        layer = f"model.layers.{index}."
        attention = [f"{layer}self_attn.{part}_proj" for part in "qkv"]
        yield from blocks(f"{index}.qkv", *(f"{part}.weight" for part in attention))
        if f"{attention[0]}.bias" in weights:
            bias = np.concatenate([weights.get_float32(f"{part}.bias") for part in attention])
            yield f"{index}.qkv.bias", bias
        yield from blocks(f"{index}.output", f"{layer}self_attn.o_proj.weight")
        if f"{layer}self_attn.o_proj.bias" in weights:
            yield f"{index}.output.bias", weights.get_float32(f"{layer}self_attn.o_proj.bias")
        yield from blocks(f"{index}.gate_up", f"{layer}mlp.gate_proj.weight", f"{layer}mlp.up_proj.weight")
        yield from blocks(f"{index}.down", f"{layer}mlp.down_proj.weight")
        yield f"{index}.attention_norm", weights.get_float32(f"{layer}input_layernorm.weight")
        yield f"{index}.mlp_norm", weights.get_float32(f"{layer}post_attention_layernorm.weight")
