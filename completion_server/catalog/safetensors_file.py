"""Safetensors files: written block by block, and mapped, so that no more than what is asked for is in memory.

Layout: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from completion_server.catalog.progress import Progress

_ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
_HEADER_ALIGNMENT = 64
_MAX_HEADER_BYTES = 100_000_000
# bfloat16 has no numpy type; it is the upper half of a float32.
_DTYPES: Mapping[str, str] = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "u1"}


@dataclass(frozen=True)
class TensorSpec:
    """A tensor to write; ``dtype`` is "F32", "F16" or "BF16"."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * _ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class MappedTensor:
    """``numbers`` where they lie in the file; bfloat16 as its 16 bits."""

    numbers: NDArray[Any]
    is_bfloat16: bool = False

    def float32(self, rows: slice = slice(None)) -> NDArray[np.float32]:
        """A copy of some rows."""
        if self.is_bfloat16:
            return (self.numbers[rows].astype(np.uint32) << 16).view(np.float32)
        return self.numbers[rows].astype(np.float32)


def map_safetensors(path: Path, *, is_writable: bool = False) -> tuple[mmap.mmap, dict[str, MappedTensor]]:
    """The file's memory and its tensors by name; nothing is read but the header.

    Raises OSError, and ValueError when the file is damaged or holds numbers that are not computed with here.
    """
    with path.open("r+b" if is_writable else "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_WRITE if is_writable else mmap.ACCESS_READ)
    data = np.frombuffer(mapped, np.uint8)
    num_header_bytes = int.from_bytes(data[:8].tobytes(), "little")
    if not 2 <= num_header_bytes <= min(_MAX_HEADER_BYTES, len(data) - 8):
        raise ValueError("not a safetensors file")
    tensors = {}
    try:
        header = json.loads(data[8 : 8 + num_header_bytes].tobytes())
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            if (dtype := _DTYPES.get(entry["dtype"])) is None:
                raise ValueError(f"{name} holds {entry['dtype']}, which this program does not compute with")
            begin, end = entry["data_offsets"]
            numbers = data[8 + num_header_bytes :][begin:end].view(dtype).reshape(entry["shape"])
            tensors[name] = MappedTensor(numbers, entry["dtype"] == "BF16")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the header is damaged: {error!r}") from error
    return mapped, tensors


def write_safetensors(
    path: Path,
    specs: Sequence[TensorSpec],
    read_blocks: Callable[[TensorSpec], Iterable[NDArray[Any]]],
    progress: Progress,
) -> None:
    """Write ``specs``; ``read_blocks(spec)`` yields the tensor's data in order, in pieces of any size.

    Raises OSError, and ValueError when the pieces of a tensor do not add up to its size.
    """
    # Wide types first, so that every tensor stays aligned to its own item size in a mapped file.
    ordered = sorted(specs, key=lambda spec: -_ITEM_BYTES[spec.dtype])
    total = sum(spec.num_bytes for spec in ordered)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for spec in ordered:
        end = start + spec.num_bytes
        header[spec.name] = {"dtype": spec.dtype, "shape": list(spec.shape), "data_offsets": [start, end]}
        start = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    padding = -(8 + len(encoded)) % _HEADER_ALIGNMENT
    done = 0
    with path.open("wb") as file:
        file.write((len(encoded) + padding).to_bytes(8, "little") + encoded + b" " * padding)
        for spec in ordered:
            expected = done + spec.num_bytes
            for block in read_blocks(spec):
                done += file.write(block.data)
            if done != expected:
                raise ValueError(f"tensor {spec.name}: the data does not fill its shape {spec.shape}")
            progress("converting", done, total)
