"""Reads a GGUF file: metadata, tensor table, and rows of tensor data.

A reader of our own because the ``gguf`` package's takes seconds to parse the token lists; its quantization
tables are used. Nothing in the file is trusted: every count and offset is checked against the file's size
before anything is allocated. Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from numpy.typing import NDArray

from completion_server.errors import ModelFormatError

Value = int | float | bool | str | list[str] | NDArray[np.generic]
"""Numeric arrays are one-dimensional numpy arrays."""

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_KEY_BYTES = 65_535
_MAX_STRING_BYTES = 16 << 20
_MAX_STRINGS = 4 << 20
_MAX_METADATA_BYTES = 256 << 20
_MAX_DIMENSIONS = 4
_MIN_KEY_VALUE_BYTES = 8 + 4 + 1
_MIN_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8

_STRING_TYPE, _ARRAY_TYPE, _BOOL_TYPE = 8, 9, 7
_NUMBER_TYPES: Mapping[int, str] = {
    0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip


@dataclass(frozen=True)
class GgufTensor:
    """One tensor: ``shape`` row-major (the last dimension contiguous), ``offset`` from the start of the file."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    offset: int
    num_bytes: int

    @property
    def num_rows(self) -> int:
        return math.prod(self.shape[:-1])

    @property
    def row_bytes(self) -> int:
        return self.num_bytes // self.num_rows


@dataclass(frozen=True)
class GgufFile:
    """Everything but the tensor data."""

    path: Path
    metadata: Mapping[str, Value]
    tensors: Mapping[str, GgufTensor]

    def integer(self, key: str, default: int | None = None) -> int:
        """The integer at ``key``; ModelFormatError when it is of another type, or missing without a default."""
        value = self.metadata.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self._bad_value(key, "an integer")

    def number(self, key: str, default: float | None = None) -> float:
        """The finite number at ``key``; errors as for ``integer``."""
        value = self.metadata.get(key, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        raise self._bad_value(key, "a number")

    def string(self, key: str, default: str | None = None) -> str:
        """The string at ``key``; errors as for ``integer``."""
        value = self.metadata.get(key, default)
        if isinstance(value, str):
            return value
        raise self._bad_value(key, "a string")

    def flag(self, key: str, default: bool) -> bool:
        """The boolean at ``key``; errors as for ``integer``."""
        value = self.metadata.get(key, default)
        if isinstance(value, bool):
            return value
        raise self._bad_value(key, "true or false")

    def strings(self, key: str) -> list[str]:
        """The list of strings at ``key``; errors as for ``integer``."""
        value = self.metadata.get(key)
        if isinstance(value, list):
            return value
        raise self._bad_value(key, "a list of strings")

    def _bad_value(self, key: str, wanted: str) -> ModelFormatError:
        found = "is missing" if key not in self.metadata else f"is not {wanted}"
        return ModelFormatError(f"{self.path}: {key} {found}; this GGUF file cannot be used")


def read_gguf(path: Path) -> GgufFile:
    """Read the metadata and the tensor table of ``path``.

    Raises ModelFormatError for anything that is not a whole, little-endian GGUF file of version 2 or 3.
    """
    try:
        with path.open("rb") as file:
            return _Reader(path, file).read()
    except OSError as error:
        raise ModelFormatError(f"{path} cannot be read: {error.strerror or error}") from error


def read_rows(file: IO[bytes], tensor: GgufTensor, start: int, stop: int) -> NDArray[np.uint8]:
    """Raw bytes of rows ``start`` to ``stop`` of ``tensor``, as (stop - start, row_bytes)."""
    file.seek(tensor.offset + start * tensor.row_bytes)
    data = file.read((stop - start) * tensor.row_bytes)
    if len(data) != (stop - start) * tensor.row_bytes:
        raise ModelFormatError(f"tensor {tensor.name} ends before its last row; the GGUF file was cut off")
    return np.frombuffer(data, dtype=np.uint8).reshape(stop - start, tensor.row_bytes)


class _Reader:
    """Reads forward through an open file; never past its end."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._size = path.stat().st_size
        self._position = 0

    def read(self) -> GgufFile:
        num_tensors, num_key_values = self._read_header()
        metadata: dict[str, Value] = {}
        for _ in range(num_key_values):
            key = self._read_string(_MAX_KEY_BYTES)
            if key in metadata:
                raise self._error(f"the key {key!r} appears twice")
            metadata[key] = self._read_value()
        infos = [self._read_tensor_info() for _ in range(num_tensors)]
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0 or alignment % 8 or alignment > 1 << 20:
            raise self._error(f"the alignment {alignment!r} is not usable")
        data_start = -(-self._position // alignment) * alignment
        return GgufFile(self._path, metadata, self._place_tensors(infos, data_start))

    def _read_header(self) -> tuple[int, int]:
        if self._take(4) != _MAGIC:
            raise self._error("it does not start with the letters GGUF")
        (version,) = self._unpack("<I")
        if version & 0xFFFF == 0:
            raise self._error("it is big-endian, and only little-endian files are supported")
        if version not in _VERSIONS:
            raise self._error(f"it is of GGUF version {version}, and only versions 2 and 3 are supported")
        num_tensors, num_key_values = self._unpack("<QQ")
        self._check_count(num_tensors, _MIN_TENSOR_BYTES, "tensors")
        self._check_count(num_key_values, _MIN_KEY_VALUE_BYTES, "metadata entries")
        return num_tensors, num_key_values

    def _read_value(self) -> Value:
        (kind,) = self._unpack("<I")
        if kind == _STRING_TYPE:
            return self._read_string(_MAX_STRING_BYTES)
        if kind == _ARRAY_TYPE:
            return self._read_array()
        value = self._read_numbers(kind, 1)[0].item()
        if isinstance(value, bool | int | float):
            return value
        raise self._error(f"a value has the unusable type {kind}")

    def _read_array(self) -> list[str] | NDArray[np.generic]:
        kind, count = self._unpack("<IQ")
        if kind == _STRING_TYPE:
            self._check_count(count, 8, "strings", _MAX_STRINGS)
            return [self._read_string(_MAX_STRING_BYTES) for _ in range(count)]
        return self._read_numbers(kind, count)

    def _read_numbers(self, kind: int, count: int) -> NDArray[np.generic]:
        if kind not in _NUMBER_TYPES:
            raise self._error(f"a value has the unknown type {kind}")
        dtype = np.dtype(_NUMBER_TYPES[kind])
        self._check_count(count, dtype.itemsize, "numbers", _MAX_METADATA_BYTES // dtype.itemsize)
        data = self._take(count * dtype.itemsize)
        if kind == _BOOL_TYPE:
            return np.frombuffer(data, dtype=np.uint8).astype(np.bool_)
        return np.frombuffer(data, dtype=dtype)

    def _read_tensor_info(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._read_string(_MAX_KEY_BYTES)
        (num_dimensions,) = self._unpack("<I")
        if not 1 <= num_dimensions <= _MAX_DIMENSIONS:
            raise self._error(f"tensor {name!r} has {num_dimensions} dimensions")
        dimensions = self._unpack(f"<{num_dimensions}Q")
        kind, offset = self._unpack("<IQ")
        return name, tuple(reversed(dimensions)), kind, offset

    def _place_tensors(
        self, infos: list[tuple[str, tuple[int, ...], int, int]], data_start: int
    ) -> dict[str, GgufTensor]:
        tensors: dict[str, GgufTensor] = {}
        for name, shape, kind_number, offset in infos:
            if name in tensors:
                raise self._error(f"tensor {name!r} appears twice")
            tensors[name] = self._place_tensor(name, shape, kind_number, data_start + offset)
        end = data_start
        for tensor in sorted(tensors.values(), key=lambda tensor: tensor.offset):
            # Overlapping tensors would let a small file expand without limit.
            if tensor.offset < end:
                raise self._error(f"tensor {tensor.name!r} overlaps another one")
            end = tensor.offset + tensor.num_bytes
        return tensors

    def _place_tensor(self, name: str, shape: tuple[int, ...], kind_number: int, offset: int) -> GgufTensor:
        try:
            kind = GGMLQuantizationType(kind_number)
        except ValueError:
            raise self._error(f"tensor {name!r} has the unknown type {kind_number}") from None
        block_size, block_bytes = GGML_QUANT_SIZES[kind]
        if 0 in shape or shape[-1] % block_size:
            raise self._error(f"tensor {name!r} has the impossible shape {shape} for {kind.name}")
        num_bytes = math.prod(shape) // block_size * block_bytes
        if offset + num_bytes > self._size:
            raise self._error(f"tensor {name!r} lies outside the file; the file was probably cut off")
        return GgufTensor(name, shape, kind, offset, num_bytes)

    def _read_string(self, max_bytes: int) -> str:
        (length,) = self._unpack("<Q")
        self._check_count(length, 1, "characters", max_bytes)
        try:
            return self._take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise self._error("a string in its metadata is not UTF-8") from None

    def _unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))

    def _take(self, num_bytes: int) -> bytes:
        data = self._file.read(num_bytes)
        if len(data) != num_bytes:
            raise self._error("it ends in the middle of its metadata; the file was probably cut off")
        self._position += num_bytes
        if self._position > _MAX_METADATA_BYTES:
            raise self._error("its metadata is larger than any model needs")
        return data

    def _check_count(self, count: int, item_bytes: int, what: str, limit: int | None = None) -> None:
        fits = count * item_bytes <= self._size - self._position
        if not fits or (limit is not None and count > limit):
            raise self._error(f"it claims {count} {what}, more than it can hold")

    def _error(self, what: str) -> ModelFormatError:
        return ModelFormatError(f"{self._path} is not a usable GGUF file: {what}")
