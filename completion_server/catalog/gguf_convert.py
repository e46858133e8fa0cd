"""Converts a GGUF file to a directory in the format of transformers, without torch.

Weights that are quantized become float32 (the dequantized values need up to 24 bits; float16 would round them),
F16 and BF16 weights stay as they are. Knows nothing of caches, names or downloads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import dequantize
from numpy.typing import NDArray

from completion_server.catalog.gguf_architecture import PlannedTensor, plan_model
from completion_server.catalog.gguf_file import GgufFile, GgufTensor, read_gguf, read_rows
from completion_server.catalog.gguf_tokenizer import GgufTokenizer, read_tokenizer
from completion_server.catalog.progress import Progress, no_progress
from completion_server.catalog.safetensors_file import TensorSpec, write_safetensors
from completion_server.errors import ModelError, ModelFormatError, UnsupportedModelError

CONVERTER_VERSION = 1
"""Raised when the same GGUF file would give other files; converted models of another version are redone."""

WEIGHTS_NAME = "model.safetensors"
_BLOCK_BYTES = 32 << 20
_STORED_DTYPES = {GGMLQuantizationType.F16: "F16", GGMLQuantizationType.BF16: "BF16"}


@dataclass(frozen=True)
class Conversion:
    """What was converted. ``fim_token_ids``: role ("prefix", "suffix", "middle", "pad", "repo", "file") -> id."""

    architecture: str
    fim_token_ids: Mapping[str, int]
    licence: str | None


def convert_gguf(path: Path, dest: Path, progress: Progress = no_progress) -> Conversion:
    """Write config, weights and tokenizer of the GGUF file ``path`` into the directory ``dest``.

    ``dest`` is created if need be; what is half written when this raises is the caller's to remove. Raises
    ModelFormatError (the file is damaged or not understood), UnsupportedModelError (an architecture or option that
    is not supported), ModelError (``dest`` cannot be written).
    """
    gguf = read_gguf(path)
    plan = plan_model(gguf)
    tokenizer = read_tokenizer(gguf, plan.config["vocab_size"])
    specs = {planned.name: _spec(gguf, planned) for planned in plan.tensors}
    config = plan.config | _token_ids(tokenizer) | {"dtype": _config_dtype(specs.values())}
    try:
        dest.mkdir(parents=True, exist_ok=True)
        _write_json(dest / "config.json", config)
        _write_json(dest / "generation_config.json", _generation_config(tokenizer))
        _write_json(dest / "tokenizer_config.json", tokenizer.config)
        (dest / "tokenizer.json").write_text(tokenizer.tokenizer.to_str(), encoding="utf-8")
        planned_tensors = {planned.name: planned for planned in plan.tensors}
        with path.open("rb") as file:
            write_safetensors(
                dest / WEIGHTS_NAME,
                list(specs.values()),
                lambda spec: _read_blocks(file, gguf, planned_tensors[spec.name]),
                progress,
            )
    except OSError as error:
        raise ModelError(f"{dest} cannot be written: {error.strerror or error}") from error
    return Conversion(
        architecture=gguf.string("general.architecture"),
        fim_token_ids=tokenizer.fim_token_ids,
        licence=gguf.string("general.license", "") or None,
    )


def _spec(gguf: GgufFile, planned: PlannedTensor) -> TensorSpec:
    kind = gguf.tensors[planned.gguf_name].kind
    if kind.name.startswith("I") and kind.name[1:].isdigit():
        raise UnsupportedModelError(f"{gguf.path}: the weight {planned.gguf_name} holds integers ({kind.name})")
    return TensorSpec(planned.name, _STORED_DTYPES.get(kind, "F32"), planned.shape)


def _config_dtype(specs: Any) -> str:
    """The dtype of the matrices; norms are float32 in nearly every file and do not count."""
    kinds = {spec.dtype for spec in specs if len(spec.shape) > 1}
    return {frozenset({"F16"}): "float16", frozenset({"BF16"}): "bfloat16"}.get(frozenset(kinds), "float32")


def _read_blocks(file: IO[bytes], gguf: GgufFile, planned: PlannedTensor) -> Iterator[NDArray[Any]]:
    tensor = gguf.tensors[planned.gguf_name]
    # Un-interleaving moves rows within one head, so a block has to hold whole heads; such tensors are small.
    rows_per_block = tensor.num_rows if planned.rope_heads else max(1, _BLOCK_BYTES // (4 * planned.shape[-1]))
    for start in range(0, tensor.num_rows, rows_per_block):
        stop = min(start + rows_per_block, tensor.num_rows)
        values = _decode(read_rows(file, tensor, start, stop), tensor)
        yield _split_halves(values, planned) if planned.rope_heads else values


def _decode(rows: NDArray[np.uint8], tensor: GgufTensor) -> NDArray[Any]:
    """Rows of raw bytes as float32, float16 or, for BF16, the bits as uint16: (rows, columns)."""
    if tensor.kind is GGMLQuantizationType.BF16:
        return rows.view("<u2")
    # A damaged scale overflows on the way; the check below says so better than a warning would.
    with np.errstate(all="ignore"):
        values: NDArray[Any] = (
            rows.view("<f2")
            if tensor.kind is GGMLQuantizationType.F16
            else np.asarray(_dequantize(rows, tensor), dtype="<f4")
        )
    if not np.isfinite(values).all():
        raise ModelFormatError(f"the tensor {tensor.name} holds values that are not numbers; the file is damaged")
    return np.ascontiguousarray(values)


def _dequantize(rows: NDArray[np.uint8], tensor: GgufTensor) -> NDArray[np.float32]:
    if tensor.kind is GGMLQuantizationType.F32:
        return rows.view("<f4")
    try:
        values: NDArray[np.float32] = dequantize(rows, tensor.kind)
    except NotImplementedError:
        raise UnsupportedModelError(
            f"the tensor {tensor.name} is quantized as {tensor.kind.name}, which cannot be converted"
        ) from None
    return values


def _split_halves(values: NDArray[Any], planned: PlannedTensor) -> NDArray[Any]:
    """Undo llama.cpp's row order. It rotates neighbouring rows (0,1)(2,3)..., transformers rotates row i with row
    i + head_dim/2, so its converter interleaves the two halves of every head."""
    pairs = values.reshape(planned.rope_heads, -1, 2, *planned.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2))


def _token_ids(tokenizer: GgufTokenizer) -> dict[str, int | None]:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _generation_config(tokenizer: GgufTokenizer) -> dict[str, Any]:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": list(tokenizer.end_token_ids),
        "pad_token_id": tokenizer.pad_token_id,
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
