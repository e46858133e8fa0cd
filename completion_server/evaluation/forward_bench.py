"""Forward passes alone, in turns with llama.cpp on the same weights: prefill, decode, and the floor of memory.

On CUDA also with and without recorded passes (``backends.step_graphs``).

One decode step reads every weight once, so ``bytes read / read bandwidth`` is what it takes at least.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from completion_server.backends.loading import LoadedModel
from completion_server.evaluation.replay.child import started_child
from completion_server.evaluation.replay.http_stream import fetch_text
from completion_server.evaluation.replay.llama_server import LLAMA_CHILD
from completion_server.evaluation.replay.peer_model import ensure_gguf
from completion_server.evaluation.replay.peer_start import LocalModel

_NUM_PROMPT, _NUM_NEW, _CHUNK = 768, 32, 128
_READ_BYTES = 1 << 28
_NUM_READS = 5
_CONTEXT = 4096


@dataclass
class ForwardFigures:
    """Per repeat: prompt tokens a second, and ms per generated token without speculation."""

    prefill_tokens_per_s: list[float] = field(default_factory=list)
    decode_ms: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {name: _spread(values) for name, values in vars(self).items()}


async def compare_forward(
    loaded: LoadedModel, local: LocalModel, num_repeats: int, seed: int
) -> dict[str, ForwardFigures]:
    """Both sides in turns on the same random prompts, each prompt once and cold."""
    ours, plain, peer = ForwardFigures(), ForwardFigures(), ForwardFigures()
    rng = random.Random(seed)
    arguments = [str(ensure_gguf(local.directory, local.work)), str(loaded.num_threads), str(_CONTEXT)]
    async with started_child(LLAMA_CHILD, arguments) as child:
        address = str(child.greeting["address"])
        await _ask_llama(address, [1, 2, 3], 2)
        for _ in range(num_repeats):
            token_ids = [rng.randrange(loaded.model.vocab_size) for _ in range(_NUM_PROMPT)]
            timings = await _ask_llama(address, token_ids, _NUM_NEW)
            peer.prefill_tokens_per_s.append(timings["prompt_per_second"])
            peer.decode_ms.append(timings["predicted_per_token_ms"])
            _run_ours(loaded, token_ids, ours)
            with nothing_recorded(loaded.model) as is_other:
                if is_other:
                    _run_ours(loaded, token_ids, plain)
    sides = {"ours": ours, "llama.cpp": peer}
    return {**sides, "ours, nothing recorded": plain} if plain.decode_ms else sides


@contextmanager
def nothing_recorded(model: Any) -> Iterator[bool]:
    """Whether ``model`` records passes; for as long as the block lasts it does not."""
    recorder = getattr(model, "step_graphs", None)
    if recorder is None:
        yield False
        return
    model.step_graphs = None
    try:
        yield True
    finally:
        model.step_graphs = recorder


def read_bandwidth(num_threads: int) -> float:
    """Bytes a second that ``num_threads`` threads read from memory; the best of a few runs."""
    share = np.ones(_READ_BYTES // 8 // num_threads)
    parts = [share.copy() for _ in range(num_threads)]
    best = 0.0
    with ThreadPoolExecutor(num_threads) as pool:
        for _ in range(_NUM_READS):
            began = time.perf_counter()
            list(pool.map(np.sum, parts))
            best = max(best, sum(part.nbytes for part in parts) / (time.perf_counter() - began))
    return best


def _run_ours(loaded: LoadedModel, token_ids: Sequence[int], figures: ForwardFigures) -> None:
    model, kv_cache = loaded.model, loaded.model.new_kv_cache()
    began = time.perf_counter()
    for start in range(0, len(token_ids), _CHUNK):
        logits = model.forward(token_ids[start : start + _CHUNK], kv_cache, 1)
    figures.prefill_tokens_per_s.append(len(token_ids) / (time.perf_counter() - began))
    began = time.perf_counter()
    for _ in range(_NUM_NEW):
        logits = model.forward([int(logits[-1].argmax())], kv_cache, 1)
    figures.decode_ms.append((time.perf_counter() - began) / _NUM_NEW * 1000)


async def _ask_llama(address: str, token_ids: Sequence[int], num_new: int) -> dict[str, float]:
    body = {"prompt": list(token_ids), "n_predict": num_new, "temperature": 0, "ignore_eos": True, "stream": False}
    timings: dict[str, float] = json.loads(await fetch_text(address, "/completion", body))["timings"]
    return timings


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 2),
        "lowest": round(min(values), 2),
        "highest": round(max(values), 2),
    }
