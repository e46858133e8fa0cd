"""Weights by name out of a directory of safetensors, sharded or not, as numpy arrays; needs no torch.

Format: a JSON table of names, types, shapes and offsets in front of the raw numbers
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from completion_server.errors import ModelFormatError

_INDEX_NAME = "model.safetensors.index.json"
_MAX_HEADER_BYTES = 100_000_000
# bfloat16 has no numpy type; it is the upper half of a float32.
_DTYPES: Mapping[str, str] = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "u1"}


class WeightFiles:
    """Tensors by name, mapped and not read: what is not asked for is never in memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises ModelFormatError when one of ``paths`` is missing or is not a safetensors file."""
        self._tensors: dict[str, tuple[npt.NDArray[Any], bool]] = {}
        self._maps: list[mmap.mmap] = []
        for path in paths:
            try:
                self._open(path)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise ModelFormatError(f"weights in {path} cannot be read: {error}") from error

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> WeightFiles:
        """The same over arrays in memory."""
        weights = cls([])
        weights._tensors = {name: (array, False) for name, array in arrays.items()}
        return weights

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """KeyError when there is no such tensor."""
        return self._tensors[name][0].shape

    def mapped(self, name: str) -> npt.NDArray[Any]:
        """The tensor where it lies in the file, read-only, bfloat16 as its bits; KeyError when there is none."""
        return self._tensors[name][0]

    def get_float32(self, name: str, rows: slice = slice(None)) -> npt.NDArray[np.float32]:
        """A copy of some rows of ``name``; KeyError when there is none."""
        numbers, is_bfloat16 = self._tensors[name]
        if is_bfloat16:
            return (numbers[rows].astype(np.uint32) << 16).view(np.float32)
        return numbers[rows].astype(np.float32)

    def forget_pages(self) -> None:
        """Give back the memory of what was read; it is read again from the disk's cache when it is needed."""
        for mapped in self._maps:
            if hasattr(mapped, "madvise"):
                mapped.madvise(mmap.MADV_DONTNEED)

    def _open(self, path: Path) -> None:
        with path.open("rb") as file:
            self._maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        data = np.frombuffer(self._maps[-1], np.uint8)
        num_header_bytes = int.from_bytes(data[:8].tobytes(), "little")
        if not 2 <= num_header_bytes <= min(_MAX_HEADER_BYTES, len(data) - 8):
            raise ValueError("not a safetensors file")
        header = json.loads(data[8 : 8 + num_header_bytes].tobytes())
        numbers = data[8 + num_header_bytes :]
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            dtype = _DTYPES.get(entry["dtype"])
            if dtype is None:
                raise ValueError(f"{name} holds {entry['dtype']}, which this program does not compute with")
            begin, end = entry["data_offsets"]
            self._tensors[name] = numbers[begin:end].view(dtype).reshape(entry["shape"]), entry["dtype"] == "BF16"


def weight_paths(directory: Path) -> list[Path]:
    """The weight files in ``directory``; ModelFormatError where there are none to read."""
    if (directory / "model.safetensors").is_file():
        return [directory / "model.safetensors"]
    index = directory / _INDEX_NAME
    if not index.is_file():
        raise ModelFormatError(
            f"{directory} has no model.safetensors. Only safetensors are read, never pickle (.bin, .pt):"
            " get the model in safetensors, or convert it once with transformers' save_pretrained()."
        )
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFormatError(f"{index} cannot be read: {error}") from error
    if any(Path(name).name != name for name in names):
        raise ModelFormatError(f"{index} names files outside its directory")
    return [directory / name for name in names]
