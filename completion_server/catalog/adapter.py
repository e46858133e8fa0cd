"""Puts a LoRA adapter that this package ships into a model that was just converted: weights, and names of tokens.

W + alpha/rank * B A for each linear map (Hu et al. 2021, arXiv 2106.09685), new embeddings for the tokens that
were given a new meaning. Needs numpy only, so that a first run does not wait for torch. The format is peft's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from completion_server.catalog.progress import Progress
from completion_server.catalog.safetensors_file import MappedTensor, map_safetensors
from completion_server.errors import ModelError, ModelFormatError

_PREFIX = "base_model.model."
_EMBEDDING = "model.embed_tokens.weight"
_ROWS = f"{_PREFIX}model.embed_tokens.token_adapter.trainable_tokens_delta"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ShippedAdapter:
    """An adapter in this package. ``sha256`` is that of its weights."""

    name: str
    path: Path
    sha256: str
    config: Mapping[str, Any]

    @property
    def fim_format(self) -> str | None:
        stated = self._own("fim_format")
        return stated if isinstance(stated, str) else None

    @property
    def token_spellings(self) -> Mapping[str, str]:
        """Spelling in the base's tokenizer -> spelling from now on."""
        stated = self._own("token_spellings")
        return stated if isinstance(stated, dict) else {}

    def _own(self, key: str) -> Any:
        return self.config.get("completion_server", {}).get(key)


def find_adapter(name: str) -> ShippedAdapter:
    """The adapter called ``name``. Raises ModelError when this installation lacks it."""
    path = Path(str(files("completion_server"))) / "adapters" / name
    try:
        digest = hashlib.sha256((path / "adapter_model.safetensors").read_bytes()).hexdigest()
        config = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"this installation lacks the adapter {name}: {error}; install the package again"
        ) from error
    return ShippedAdapter(name, path, digest, config)


def apply_adapter(adapter: ShippedAdapter, directory: Path, progress: Progress) -> None:
    """Change the weights and the tokenizer in ``directory``, which is not in use yet.

    Raises ModelFormatError when the adapter does not fit the model, OSError when the files cannot be changed.
    """
    deltas = _Tensors(adapter.path / "adapter_model.safetensors")
    weights = _Tensors(directory / "model.safetensors", is_writable=True)
    scale = float(adapter.config["lora_alpha"]) / float(adapter.config["r"])
    stems = sorted(name.removesuffix(".lora_A.weight") for name in deltas.names if name.endswith(".lora_A.weight"))
    for number, stem in enumerate(stems):
        progress("adapting", number, len(stems))
        change = deltas.read(f"{stem}.lora_B.weight") @ deltas.read(f"{stem}.lora_A.weight")
        weights.add(f"{stem.removeprefix(_PREFIX)}.weight", np.float32(scale) * change)
    rows = (adapter.config.get("trainable_token_indices") or {}).get("embed_tokens", [])
    if rows:
        weights.set_rows(_EMBEDDING, rows, deltas.read(_ROWS))
    weights.flush()
    path = directory / "tokenizer.json"
    definition = json.loads(path.read_text(encoding="utf-8"))
    respell_tokens(definition, adapter.token_spellings)
    path.write_text(json.dumps(definition, ensure_ascii=False), encoding="utf-8")


def respell_tokens(definition: dict[str, Any], spellings: Mapping[str, str]) -> None:
    """Rename added tokens in the content of a ``tokenizer.json``: the same ids, other spellings.

    Raises ModelFormatError for a token that is not there or a new spelling that is.
    """
    vocabulary = definition["model"]["vocab"]
    added = {token["content"]: token for token in definition.get("added_tokens", [])}
    for old, new in spellings.items():
        if old not in added:
            raise ModelFormatError(f"the tokenizer has no added token {old}")
        if new in added or new in vocabulary:
            raise ModelFormatError(f"the tokenizer has a token {new} already")
        added[old]["content"] = new
        added[old]["special"] = True
        if old in vocabulary:
            vocabulary[new] = vocabulary.pop(old)


class _Tensors:
    """The tensors of one safetensors file, mapped; read as float32, written in their own type."""

    def __init__(self, path: Path, *, is_writable: bool = False) -> None:
        try:
            self._map, self._tensors = map_safetensors(path, is_writable=is_writable)
        except ValueError as error:
            raise ModelFormatError(f"{path} is damaged: {error}") from error

    @property
    def names(self) -> list[str]:
        return list(self._tensors)

    def read(self, name: str) -> Floats:
        """(shape of the tensor)."""
        return self._tensor(name).float32()

    def add(self, name: str, change: Floats) -> None:
        tensor = self._tensor(name)
        shape = tensor.numbers.shape
        if shape != change.shape:
            raise ModelFormatError(f"the adapter does not fit the weight {name}: {change.shape}, not {shape}")
        tensor.numbers[...] = _from_float(tensor.float32() + change, tensor.numbers.dtype)

    def set_rows(self, name: str, rows: list[int], values: Floats) -> None:
        stored = self._tensor(name).numbers
        if values.shape != (len(rows), stored.shape[1]) or max(rows) >= stored.shape[0]:
            raise ModelFormatError(f"the adapter does not fit the weight {name}")
        stored[rows] = _from_float(values, stored.dtype)

    def flush(self) -> None:
        self._map.flush()

    def _tensor(self, name: str) -> MappedTensor:
        try:
            return self._tensors[name]
        except KeyError as error:
            raise ModelFormatError(f"the weight {name} is missing") from error


def _from_float(values: Floats, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if dtype != np.uint16:
        return values.astype(dtype)
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded: npt.NDArray[np.uint16] = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return rounded
