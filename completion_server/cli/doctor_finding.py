"""What the doctor makes of the facts: warnings, each with what to do about it. Pure; measures nothing."""

from __future__ import annotations

from dataclasses import dataclass

FAST_BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_CLEARLY = 0.8
_SLOW_READ_MB_PER_S = 100.0
_DISK_RESERVE_BYTES = 1 << 30


@dataclass(frozen=True)
class MachineFacts:
    """What the findings are drawn from; None where it is not known."""

    cpu_flags: frozenset[str] = frozenset()
    machine: str = "x86_64"
    physical_cores: int | None = None
    usable_cores: int = 1
    memory_available_bytes: int = 0
    free_disk_bytes: int = 0
    torch_version: str = ""
    has_torch_gpu: bool = False
    device: str = "cpu"
    dtype: str = ""
    num_threads: int = 1
    model_bytes: int | None = None
    is_model_here: bool = True
    is_offline: bool = False
    model_name: str = ""
    load_average: float = 0.0


@dataclass(frozen=True)
class Measurements:
    """What was measured; times in ms."""

    load_s: float
    """Until the model can answer, the library that computes included."""
    prefill_tokens_per_s: float
    decode_ms: float
    forward_ms: dict[int, float]
    """Tokens in one forward pass -> its time."""
    read_mb_per_s: float | None = None
    decode_spread: float = 1.0
    """p95 of a decode step over its median."""
    one_thread_decode_ms: float | None = None
    """The same step with a single thread, where there are more."""
    float_decode_ms: float | None = None
    """The same step with weights in a floating-point type, where they are int8."""


def machine_warnings(facts: MachineFacts) -> list[str]:
    """Warnings that need no measurement."""
    checks = [
        (_model_is_missing(facts), _model_advice(facts)),
        (
            facts.device == "cpu" and facts.dtype == "float32" and _lacks_fast_bf16(facts),
            "this CPU does not multiply bfloat16 in hardware, so weights are float32: each token reads twice the "
            "memory. Nothing to set; a smaller model helps most.",
        ),
        (
            facts.machine == "x86_64" and bool(facts.cpu_flags) and "avx2" not in facts.cpu_flags,
            "this CPU (or virtual machine) has no AVX2: the model is several times slower. On a virtual machine, "
            "pass the host's CPU through.",
        ),
        (
            facts.model_bytes is not None and facts.memory_available_bytes < 2 * facts.model_bytes,
            "little memory is free: the model would be swapped out. Close something, or choose a smaller model "
            "(completion-server models list).",
        ),
        (
            "+cu" in facts.torch_version and not facts.has_torch_gpu,
            "torch is a CUDA build and this machine has no usable GPU: it loads slower and takes several GB of "
            "disk. Install the CPU build (pip install torch --index-url https://download.pytorch.org/whl/cpu).",
        ),
        (
            facts.device == "cpu" and facts.num_threads > (facts.physical_cores or facts.usable_cores),
            f"{facts.num_threads} threads on {facts.physical_cores or facts.usable_cores} physical cores slow "
            "each other down; set model.numThreads (or --threads) to at most the number of physical cores.",
        ),
        (
            facts.device == "cpu" and facts.num_threads > facts.usable_cores,
            f"only {facts.usable_cores} cores may be used by this process, fewer than its {facts.num_threads} "
            "threads; set model.numThreads to that number.",
        ),
        (
            facts.free_disk_bytes < (facts.model_bytes or 0) + _DISK_RESERVE_BYTES,
            "little disk space is free where models are kept; free some, or set model.cacheDir to another disk.",
        ),
        (
            facts.load_average > 0.75 * facts.usable_cores,
            f"other programs keep this machine busy (load {facts.load_average:.1f} on {facts.usable_cores} "
            "cores): what was measured is worse than on a quiet one. Fewer threads suffer less from it.",
        ),
    ]
    return [advice for is_true, advice in checks if is_true]


def measured_warnings(measured: Measurements, timeout_ms: float) -> list[str]:
    """Warnings that follow from what was measured."""
    warnings = []
    if measured.decode_ms * 4 > timeout_ms:
        warnings.append(
            f"a token takes {measured.decode_ms:.0f} ms, so hardly any fit into {timeout_ms:.0f} ms; use a "
            "smaller model, or a longer latency.automaticTimeoutMs."
        )
    if measured.read_mb_per_s is not None and measured.read_mb_per_s < _SLOW_READ_MB_PER_S:
        warnings.append(
            f"the model is read at {measured.read_mb_per_s:.0f} MB/s: loading takes long. Set model.cacheDir to a "
            "faster disk."
        )
    if measured.decode_spread > 3:
        warnings.append(
            "times of one and the same step differ a lot: other programs are busy, or there are more threads than "
            "free cores. Try --threads with a smaller number."
        )
    return warnings


def fits_in(measured: Measurements, timeout_ms: float) -> dict[str, int]:
    """What fits into the time limit: prompt tokens when nothing is cached, new tokens when nearly all is."""
    step_ms = max(measured.decode_ms, 0.01)
    warm_ms = measured.forward_ms.get(4, step_ms)
    return {
        "cold_prompt_tokens": max(0, int((timeout_ms - step_ms) / 1000 * measured.prefill_tokens_per_s)),
        "warm_generated_tokens": 0 if warm_ms > timeout_ms else 1 + int((timeout_ms - warm_ms) / step_ms),
    }


def _model_is_missing(facts: MachineFacts) -> bool:
    return not facts.is_model_here


def _model_advice(facts: MachineFacts) -> str:
    if facts.is_offline:
        return (
            f"the model {facts.model_name} is not here and model.offline forbids to fetch it; switch that off "
            f"once, or name a directory with --model. Then: completion-server models pull {facts.model_name}"
        )
    return (
        f"the model {facts.model_name} is not on this disk; fetch it with "
        f"`completion-server models pull {facts.model_name}` or `completion-server doctor --fetch`."
    )


def _lacks_fast_bf16(facts: MachineFacts) -> bool:
    return bool(facts.cpu_flags) and not FAST_BF16 & facts.cpu_flags


def is_clearly_less(elapsed_ms: float | None, other_ms: float) -> bool:
    """Whether a way is so much faster than another that noise is no reason for it; None: not known, so not."""
    return elapsed_ms is not None and elapsed_ms < _CLEARLY * other_ms
