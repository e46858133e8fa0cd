"""Writes a safetensors file block by block, so that no more than one block is in memory.

Layout: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from completion_server.catalog.progress import Progress

_ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
_HEADER_ALIGNMENT = 64


@dataclass(frozen=True)
class TensorSpec:
    """A tensor to write; ``dtype`` is "F32", "F16" or "BF16"."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * _ITEM_BYTES[self.dtype]


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
