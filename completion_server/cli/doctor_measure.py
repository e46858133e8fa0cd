"""The doctor's measurements: load time, prefill speed, decode steps and small passes of the real model."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from completion_server.backends.loading import LoadedModel, load_model
from completion_server.backends.tuning import Tuning
from completion_server.cli.doctor_finding import FAST_BF16, Measurements, is_clearly_less
from completion_server.config import ModelSettings
from completion_server.evaluation.latency import quantile
from completion_server.evaluation.machine import cpu_flags
from completion_server.model import CausalLM

_PREFILL_TOKENS = 512
_CONTEXT_TOKENS = 256
_NUM_STEPS = 20
_NUM_PASSES = 5
_PASS_SIZES = (1, 4, 8)


def measure(
    directory: Path, settings: ModelSettings, cache_dir: Path, progress: Callable[[str, float | None], None]
) -> tuple[LoadedModel, Measurements]:
    """Load the model and time it."""
    read_mb_per_s = _read_speed(directory)
    began = time.perf_counter()
    loaded = load_model(directory, settings, cache_dir, progress)
    load_s = time.perf_counter() - began
    progress("measuring", None)
    model = loaded.model
    _time_ms(lambda: model.forward(_tokens(model, 16), model.new_kv_cache(), 1))
    prefill_tokens_per_s = _prefill_speed(model)
    steps_ms = _pass_times(model, 1, _NUM_STEPS)
    forward_ms = {size: round(statistics.median(_pass_times(model, size, _NUM_PASSES)), 2) for size in _PASS_SIZES}
    decode_ms = statistics.median(steps_ms)
    one_thread_ms = float_ms = None
    if loaded.device == "cpu" and loaded.num_threads > 1:
        one_thread_ms = _step_ms(directory, replace(settings, num_threads=1), cache_dir, progress)
    if loaded.dtype == "int8":
        float_ms = _step_ms(directory, replace(settings, dtype=float_type()), cache_dir, progress)
    measured = Measurements(
        load_s=round(load_s, 3),
        prefill_tokens_per_s=round(prefill_tokens_per_s, 1),
        decode_ms=round(decode_ms, 2),
        forward_ms=forward_ms,
        read_mb_per_s=None if read_mb_per_s is None else round(read_mb_per_s, 1),
        decode_spread=round(quantile(steps_ms, 0.95) / decode_ms, 2),
        one_thread_decode_ms=None if one_thread_ms is None else round(one_thread_ms, 2),
        float_decode_ms=None if float_ms is None else round(float_ms, 2),
    )
    return loaded, measured


def tune(measured: Measurements, settings: ModelSettings) -> Tuning:
    """What is clearly better than the server's own choice, where the user leaves the choice to it."""
    dtype, num_threads = "auto", 0
    is_free = settings.dtype == "auto" and settings.num_threads == 0
    if is_free and is_clearly_less(measured.float_decode_ms, measured.decode_ms):
        dtype = float_type()
    elif is_free and is_clearly_less(measured.one_thread_decode_ms, measured.decode_ms):
        num_threads = 1
    return Tuning(dtype, num_threads)


def float_type() -> Literal["bfloat16", "float32"]:
    """The weight type that this CPU multiplies fastest on torch."""
    return "bfloat16" if FAST_BF16 & cpu_flags() else "float32"


def _step_ms(
    directory: Path, settings: ModelSettings, cache_dir: Path, progress: Callable[[str, float | None], None]
) -> float:
    """A decode step of the same model, loaded in another way."""
    model = load_model(directory, settings, cache_dir, progress).model
    return statistics.median(_pass_times(model, 1, _NUM_PASSES))


def _prefill_speed(model: CausalLM) -> float:
    num_tokens = min(_PREFILL_TOKENS, model.max_context - 1)
    elapsed_ms = min(
        _time_ms(lambda: model.forward(_tokens(model, num_tokens), model.new_kv_cache(), 1)) for _ in range(2)
    )
    return num_tokens / elapsed_ms * 1000


def _pass_times(model: CausalLM, size: int, count: int) -> list[float]:
    """Times of ``count`` forward passes of ``size`` tokens after a context of ordinary length."""
    num_context = min(_CONTEXT_TOKENS, model.max_context // 2)
    kv_cache = model.new_kv_cache()
    model.forward(_tokens(model, num_context), kv_cache, 0)
    times = []
    for _ in range(count):
        kv_cache.truncate(num_context)
        times.append(_time_ms(lambda: model.forward(_tokens(model, size), kv_cache, size)))
    return times


def _tokens(model: CausalLM, count: int) -> list[int]:
    return [(17 * number + 31) % model.vocab_size for number in range(count)]


def _time_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _read_speed(directory: Path) -> float | None:
    """MB/s of reading the weights from the disk (or from memory, if they were read before)."""
    num_bytes, began = 0, time.perf_counter()
    for path in sorted(directory.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                while chunk := file.read(1 << 22):
                    num_bytes += len(chunk)
        except OSError:
            continue
    elapsed_s = time.perf_counter() - began
    return num_bytes / 1e6 / elapsed_s if num_bytes and elapsed_s else None
