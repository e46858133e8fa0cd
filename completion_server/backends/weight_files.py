"""Weights by name out of a directory of safetensors, sharded or not, as numpy arrays; needs no torch."""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from completion_server.catalog.safetensors_file import MappedTensor, map_safetensors
from completion_server.errors import ModelFormatError

_INDEX_NAME = "model.safetensors.index.json"


class WeightFiles:
    """Tensors by name, mapped and not read: what is not asked for is never in memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises ModelFormatError when one of ``paths`` is missing or is not a safetensors file."""
        self._tensors: dict[str, MappedTensor] = {}
        self._maps: list[mmap.mmap] = []
        for path in paths:
            try:
                mapped, tensors = map_safetensors(path)
            except (OSError, ValueError) as error:
                raise ModelFormatError(f"weights in {path} cannot be read: {error}") from error
            self._maps.append(mapped)
            self._tensors.update(tensors)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> WeightFiles:
        """The same over arrays in memory."""
        weights = cls([])
        weights._tensors = {name: MappedTensor(array) for name, array in arrays.items()}
        return weights

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """KeyError when there is no such tensor."""
        return self._tensors[name].numbers.shape

    def mapped(self, name: str) -> npt.NDArray[Any]:
        """The tensor where it lies in the file, read-only, bfloat16 as its bits; KeyError when there is none."""
        return self._tensors[name].numbers

    def get_float32(self, name: str, rows: slice = slice(None)) -> npt.NDArray[np.float32]:
        """A copy of some rows of ``name``; KeyError when there is none."""
        return self._tensors[name].float32(rows)

    def forget_pages(self) -> None:
        """Give back the memory of what was read; it is read again from the disk's cache when it is needed."""
        for mapped in self._maps:
            if hasattr(mapped, "madvise"):
                mapped.madvise(mmap.MADV_DONTNEED)


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
