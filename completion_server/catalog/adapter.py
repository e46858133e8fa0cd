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
from completion_server.errors import ModelError, ModelFormatError

_PREFIX = "base_model.model."
_EMBEDDING = "model.embed_tokens.weight"
_ROWS = f"{_PREFIX}model.embed_tokens.token_adapter.trainable_tokens_delta"
_STORED: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}

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
    deltas = _Tensors(adapter.path / "adapter_model.safetensors", "r")
    weights = _Tensors(directory / "model.safetensors", "r+")
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

    def __init__(self, path: Path, mode: str) -> None:
        try:
            self._map: np.memmap[Any, np.dtype[np.uint8]] = np.memmap(
                path, np.uint8, "r+" if mode == "r+" else "r"
            )
            length = int.from_bytes(self._map[:8].tobytes(), "little")
            self._header: dict[str, Any] = json.loads(self._map[8 : 8 + length].tobytes())
        except ValueError as error:
            raise ModelFormatError(f"{path} is damaged: {error}") from error
        self._header.pop("__metadata__", None)
        self._start = 8 + length

    @property
    def names(self) -> list[str]:
        return list(self._header)

    def read(self, name: str) -> Floats:
        """(shape of the tensor)."""
        return _to_float(self._stored(name))

    def add(self, name: str, change: Floats) -> None:
        stored = self._stored(name)
        if stored.shape != change.shape:
            raise ModelFormatError(
                f"the adapter does not fit the weight {name}: {change.shape}, not {stored.shape}"
            )
        stored[...] = _from_float(_to_float(stored) + change, stored.dtype)

    def set_rows(self, name: str, rows: list[int], values: Floats) -> None:
        stored = self._stored(name)
        if values.shape != (len(rows), stored.shape[1]) or max(rows) >= stored.shape[0]:
            raise ModelFormatError(f"the adapter does not fit the weight {name}")
        stored[rows] = _from_float(values, stored.dtype)

    def flush(self) -> None:
        self._map.flush()

    def _stored(self, name: str) -> npt.NDArray[Any]:
        """A view on the file."""
        try:
            facts = self._header[name]
            start, end = facts["data_offsets"]
            raw: npt.NDArray[Any] = self._map[self._start + start : self._start + end]
            stored: npt.NDArray[Any] = raw.view(_STORED[facts["dtype"]]).reshape(facts["shape"])
        except (KeyError, ValueError, TypeError) as error:
            raise ModelFormatError(f"the weight {name} is missing or of an unknown kind: {error}") from error
        return stored


def _to_float(stored: npt.NDArray[Any]) -> Floats:
    if stored.dtype == np.uint16:  # the upper half of a float32
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32)


def _from_float(values: Floats, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if dtype != np.uint16:
        return values.astype(dtype)
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded: npt.NDArray[np.uint16] = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return rounded
