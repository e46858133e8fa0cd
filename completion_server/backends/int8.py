"""The Llama and Qwen2 families on a CPU with int8 weights, on the kernels of ONNX Runtime. Needs no torch.

Several times as fast per token as eager torch in bfloat16 or float32, and half to a quarter of the memory. Knows
token ids and arrays; nothing of text or of caches across requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from completion_server.backends.int8_graph import build_graph
from completion_server.backends.int8_weights import dequantize
from completion_server.backends.native_config import NativeConfig
from completion_server.backends.weight_files import WeightFiles
from completion_server.errors import ModelError, ModelFormatError
from completion_server.model import KVCache, Logits

_GROWTH = 256  # tokens; capacity doubles from here, so a session copies each byte O(1) times
_NOT_SEEN = np.float32(-1e30)
_ERROR_ONLY = 3
# How long a thread waits for the next piece of work before it sleeps. The default spins for long: beside busy
# programs that doubles the time of a pass. Not spinning at all costs an idle machine as much.
_SPIN_US = "20"


class Int8KVCache:
    """Keys and values of one sequence: (2 * layers, 1, H, capacity, D) float32, grown by doubling."""

    def __init__(self, config: NativeConfig) -> None:
        self._config = config
        self._num_tokens = 0
        self.values: npt.NDArray[np.float32] = self._new(0)

    @property
    def num_tokens(self) -> int:
        return self._num_tokens

    @property
    def num_bytes(self) -> int:
        return self.values.nbytes

    def truncate(self, num_tokens: int) -> None:
        if not 0 <= num_tokens <= self._num_tokens:
            raise ModelError(f"cannot truncate a KV cache of {self._num_tokens} tokens to {num_tokens}")
        self._num_tokens = num_tokens

    def reserve(self, num_new_tokens: int) -> None:
        """Room for ``num_new_tokens`` more; ModelError where the context is too short for them."""
        wanted, limit = self._num_tokens + num_new_tokens, self._config.max_context
        if wanted > limit:
            raise ModelError(f"{self._num_tokens} + {num_new_tokens} tokens do not fit a KV cache of {limit}")
        capacity = self.values.shape[3]
        if wanted <= capacity:
            return
        capacity = max(capacity, _GROWTH)
        while capacity < wanted:
            capacity *= 2
        grown = self._new(min(capacity, limit))
        grown[..., : self._num_tokens, :] = self.values[..., : self._num_tokens, :]
        self.values = grown

    def advance(self, num_new_tokens: int) -> None:
        self._num_tokens += num_new_tokens

    def _new(self, capacity: int) -> npt.NDArray[np.float32]:
        config = self._config
        return np.empty((2 * config.num_layers, 1, config.num_kv_heads, capacity, config.head_dim), np.float32)


class Int8Model:
    """A ``CausalLM`` over int8 weights."""

    def __init__(self, config: NativeConfig, weights: WeightFiles, num_threads: int) -> None:
        """``weights`` as ``int8_weights`` makes them; ``num_threads`` at least 1."""
        self._config = config
        self._embedding = weights.mapped("embedding.codes"), weights.mapped("embedding.scales")
        graph, constants = build_graph(config, weights)
        self.num_weight_bytes = sum(values.nbytes for values in constants.values())
        self._session = _new_session(graph, constants, num_threads)
        weights.forget_pages()  # the session has copied what it needs, in the layout of its kernels

    @property
    def vocab_size(self) -> int:
        return len(self._embedding[0])

    @property
    def max_context(self) -> int:
        return self._config.max_context

    def new_kv_cache(self) -> Int8KVCache:
        return Int8KVCache(self._config)

    def forward(self, token_ids: Sequence[int], kv_cache: KVCache, num_logits: int) -> Logits:
        past, new = kv_cache.num_tokens, len(token_ids)
        # What comes later in the text is masked by the kernel itself.
        mask = np.zeros((1, 1, new, past + new), np.float32)
        return self._run(token_ids, kv_cache, num_logits, np.arange(past, past + new, dtype=np.int64), mask)

    def forward_branches(
        self,
        token_ids: Sequence[int],
        kv_cache: KVCache,
        positions: Sequence[int],
        visible: npt.NDArray[np.bool_],
    ) -> Logits:
        new, num_branched = visible.shape
        mask = np.zeros((1, 1, new, kv_cache.num_tokens + new), np.float32)
        mask[0, 0, :, -num_branched:][~visible] = _NOT_SEEN
        return self._run(token_ids, kv_cache, new, np.array(positions, np.int64), mask)

    def _run(
        self,
        token_ids: Sequence[int],
        kv_cache: KVCache,
        num_logits: int,
        positions: npt.NDArray[np.int64],
        mask: npt.NDArray[np.float32],
    ) -> Logits:
        if not isinstance(kv_cache, Int8KVCache):
            raise ModelError("a KV cache of another backend was given to this model")
        new = len(token_ids)
        kv_cache.reserve(new)
        num_keys = kv_cache.num_tokens + new
        # The graph has no way to give no logits at all; one row of them costs little.
        logits = np.empty((1, max(num_logits, 1), self.vocab_size), np.float32)
        binding = self._session.io_binding()
        arrays: dict[str, npt.NDArray[Any]] = {
            "hidden": self._embed(token_ids),
            "last_key": np.array([num_keys - 1], np.int32),
            "num_keys": np.array(num_keys, np.int32),
            "positions": positions[np.newaxis],
            "mask": mask,
            "first_wanted": np.array([new - logits.shape[1]], np.int64),
        }
        for name, array in arrays.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self._bind_kv(binding, kv_cache.values)
        self._session.run_with_iobinding(binding)
        kv_cache.advance(new)
        return logits[0, :num_logits]

    def _embed(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        codes, scales = self._embedding
        return dequantize(codes[list(token_ids)], scales[list(token_ids)])[np.newaxis]

    def _bind_kv(self, binding: Any, values: npt.NDArray[np.float32]) -> None:
        """Past and present are the same memory: the kernel appends in place."""
        shape, start, step = values.shape[1:], values.ctypes.data, values.strides[0]
        for index in range(self._config.num_layers):
            for name, offset in (("keys", 2 * index), ("values", 2 * index + 1)):
                pointer = start + offset * step
                binding.bind_input(f"past_{name}.{index}", "cpu", 0, np.float32, shape, pointer)
                binding.bind_output(f"{name}.{index}", "cpu", 0, np.float32, shape, pointer)


def _new_session(graph: bytes, constants: dict[str, npt.NDArray[Any]], num_threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = _ERROR_ONLY
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN_US)
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in constants.values()]
    try:
        options.add_external_initializers(list(constants), values)
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelFormatError(f"ONNX Runtime cannot run this model: {error}") from error
