"""Short forward passes as CUDA graphs: on a GPU a small model's token costs less than launching its kernels.

A graph replays fixed shapes on fixed addresses, so one belongs to one KV cache and one number of tokens; fewer
tokens are padded, and what the padding writes lies behind the cache's end, where the next tokens overwrite it.
CUDA graphs: docs.pytorch.org, "CUDA semantics", CUDA Graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from completion_server.backends.static_kv_cache import StaticKVCache

StepFunction = Callable[[torch.Tensor, torch.Tensor, StaticKVCache], torch.Tensor]
"""(token ids (T,), positions (T,), cache) -> logits (T, V); writes keys and values at ``positions``."""

Capture = Callable[[Callable[[], torch.Tensor]], tuple[Callable[[], None], torch.Tensor]]
"""Records a function of fixed tensors; returns what runs it again, and the tensor that its result is in."""

_SIZES = (1, 2, 4, 8, 16)
LARGEST_STEP = _SIZES[-1]
_MIN_USES = 2  # a graph costs several passes: not for a sequence that is decoded once


@dataclass(frozen=True)
class _Step:
    """A recorded pass and its fixed inputs and output."""

    replay: Callable[[], None]
    token_ids: torch.Tensor
    positions: torch.Tensor
    logits: torch.Tensor


class StepGraphs:
    """Runs short passes of one model, recorded where that pays."""

    def __init__(self, step: StepFunction, device: torch.device, capture: Capture | None = None) -> None:
        self._step = step
        self._device = device
        self._capture = capture or _CudaCapture()

    def run(self, token_ids: Sequence[int], kv_cache: StaticKVCache) -> torch.Tensor | None:
        """Logits (T, V) after each of ``token_ids``, not yet counted in ``kv_cache``; None: run it another way.

        The result is overwritten by the next call.
        """
        new, past = len(token_ids), kv_cache.num_tokens
        size = next((size for size in _SIZES if size >= new), None)
        if size is None or past == 0 or past + size > kv_cache.capacity:
            return None
        step = kv_cache.recorded.get(size)
        if step is None:
            uses = kv_cache.uses[size] = kv_cache.uses.get(size, 0) + 1
            if uses < _MIN_USES:
                return None
            step = kv_cache.recorded[size] = self._record(size, past, kv_cache)
        assert isinstance(step, _Step)
        padded = [*token_ids, *([0] * (size - new))]
        step.token_ids.copy_(torch.tensor(padded))
        step.positions.copy_(torch.arange(past, past + size))
        step.replay()
        return step.logits[:new]

    def _record(self, size: int, past: int, kv_cache: StaticKVCache) -> _Step:
        token_ids = torch.zeros(size, dtype=torch.long, device=self._device)
        positions = torch.arange(past, past + size, device=self._device)
        replay, logits = self._capture(lambda: self._step(token_ids, positions, kv_cache))
        return _Step(replay, token_ids, positions, logits)


class _CudaCapture:
    """``Capture`` on the current CUDA device. All graphs share one memory pool: only one runs at a time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        # A first run outside the graph lets libraries set up what may not be set up while recording.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            function()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            result = function()
        return graph.replay, result
