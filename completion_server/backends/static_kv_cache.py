"""Keys and values in preallocated tensors: appending writes in place, truncating moves one number.

Used by every torch backend. Knows nothing of models; shapes come from the first tensors it is given.
"""

from __future__ import annotations

import torch

from completion_server.errors import ModelError
from completion_server.model import KVCache, Logits

_GROWTH = 256  # tokens; capacity doubles from here, so a session copies each byte O(1) times
_GROWTH_ON_GPU = 1024  # memory is plenty there, and growing throws recorded passes away


class StaticKVCache:
    """KV of one sequence over ``num_layers`` layers, each (1, H, capacity, D); grows up to ``max_tokens``."""

    def __init__(self, num_layers: int, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._keys: list[torch.Tensor | None] = [None] * num_layers
        self._values: list[torch.Tensor | None] = [None] * num_layers
        self._num_tokens = 0
        self.recorded: dict[int, object] = {}
        self.uses: dict[int, int] = {}
        """By number of tokens: passes recorded on these tensors, and how often each was asked for."""

    @property
    def num_tokens(self) -> int:
        return self._num_tokens

    @property
    def num_bytes(self) -> int:
        tensors = [tensor for tensor in (*self._keys, *self._values) if tensor is not None]
        return sum(tensor.element_size() * tensor.nelement() for tensor in tensors)

    @property
    def capacity(self) -> int:
        """Tokens for which there is memory in every layer."""
        return min((0 if keys is None else keys.shape[2] for keys in self._keys), default=0)

    def truncate(self, num_tokens: int) -> None:
        if not 0 <= num_tokens <= self._num_tokens:
            raise ModelError(f"cannot truncate a KV cache of {self._num_tokens} tokens to {num_tokens}")
        self._num_tokens = num_tokens

    def check_room(self, num_new_tokens: int) -> None:
        """ModelError unless ``num_new_tokens`` more fit."""
        if self._num_tokens + num_new_tokens > self._max_tokens:
            raise ModelError(
                f"{self._num_tokens} + {num_new_tokens} tokens do not fit a KV cache of {self._max_tokens}"
            )

    def append(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Write ``keys`` and ``values`` (1, H, T, D) after the tokens held; returns old and new, as views.

        The new tokens count only after ``advance``: a forward pass that fails half-way leaves no trace.
        """
        end = self._num_tokens + keys.shape[2]
        all_keys = self._keys[layer] = self._reserve(self._keys[layer], keys, end)
        all_values = self._values[layer] = self._reserve(self._values[layer], values, end)
        all_keys[:, :, self._num_tokens : end] = keys
        all_values[:, :, self._num_tokens : end] = values
        return all_keys[:, :, :end], all_values[:, :, :end]

    def write_at(
        self, layer: int, positions: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write ``keys`` and ``values`` (1, H, T, D) at ``positions`` (T,); returns all of the layer's memory.

        Fixed addresses and shapes, nothing that depends on numbers on the CPU. There must be memory already.
        """
        all_keys, all_values = self._keys[layer], self._values[layer]
        assert all_keys is not None
        assert all_values is not None
        all_keys.index_copy_(2, positions, keys)
        all_values.index_copy_(2, positions, values)
        return all_keys, all_values

    def advance(self, num_new_tokens: int) -> None:
        self._num_tokens += num_new_tokens

    def _reserve(self, held: torch.Tensor | None, like: torch.Tensor, num_tokens: int) -> torch.Tensor:
        if held is not None and held.shape[2] >= num_tokens:
            return held
        capacity = _GROWTH if like.device.type == "cpu" else _GROWTH_ON_GPU
        while capacity < num_tokens:
            capacity *= 2
        shape = (1, like.shape[1], min(capacity, self._max_tokens), like.shape[3])
        # Zeros: a recorded pass multiplies what it masks, and what was in memory before may not be a number.
        grown = torch.zeros(shape, dtype=like.dtype, device=like.device)
        self.recorded.clear()
        if held is not None:
            grown[:, :, : self._num_tokens] = held[:, :, : self._num_tokens]
        return grown


def own_kv_cache(kv_cache: KVCache) -> StaticKVCache:
    """``kv_cache``, which has to be one of these. Raises ModelError."""
    if not isinstance(kv_cache, StaticKVCache):
        raise ModelError("a KV cache of another backend was given to this model")
    return kv_cache


def as_logits(logits: torch.Tensor) -> Logits:
    """What a torch model computed, as the engine reads it: on the CPU, float32 or wider."""
    array: Logits = logits.to(device="cpu", dtype=torch.promote_types(logits.dtype, torch.float32)).numpy()
    return array
