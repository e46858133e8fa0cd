"""``completion-server doctor``: versions, machine, model, measured speed, and warnings that name the fix."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from completion_server import __version__
from completion_server.backends.threads import num_usable_cores
from completion_server.backends.tuning import Tuning, write_tuning
from completion_server.bootstrap import cache_dir_of
from completion_server.catalog.resolve import ensure_local
from completion_server.cli.doctor_finding import (
    MachineFacts,
    Measurements,
    fits_in,
    machine_warnings,
    measured_warnings,
)
from completion_server.cli.doctor_llama import keep_choice, may_measure, measure_file
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import ShowProgress, make_console, make_facts_table, print_json, shown_progress
from completion_server.config import Settings
from completion_server.errors import ModelError, ModelNotFoundError, UnsupportedModelError
from completion_server.evaluation.machine import cpu_flags, describe_machine, package_versions
from completion_server.llama.build import may_replace_native, wants_llama
from completion_server.llama.timing import LlamaSpeed

_FEATURES = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "bfloat16": ("avx512_bf16", "amx_bf16", "bf16"),
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "AMX": ("amx_tile",),
    "NEON dot product": ("asimddp",),
}


@dataclass
class Diagnosis:
    """All that is shown; ``model`` and ``measured`` are empty when the model could not be loaded."""

    versions: dict[str, str]
    machine: dict[str, object]
    features: dict[str, bool]
    storage: dict[str, object]
    model: dict[str, object]
    timeout_ms: int
    measured: Measurements | None = None
    llama: LlamaSpeed | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def fits(self) -> dict[str, int]:
        return fits_in(self.measured, self.timeout_ms) if self.measured is not None else {}


def run(options: CommonOptions, *, allow_fetch: bool = False, as_json: bool = False) -> None:
    """Examine, measure, print. A model that is missing or broken is a finding, not an error."""
    loaded = options.resolve(Path.cwd())
    with shown_progress(make_console(stderr=True)) as progress:
        diagnosis = diagnose(loaded.settings, progress, allow_fetch=allow_fetch)
    diagnosis.warnings += loaded.warnings
    if as_json:
        print_json({**asdict(diagnosis), "fits": diagnosis.fits})
    else:
        _show(make_console(), diagnosis)


def diagnose(settings: Settings, progress: ShowProgress, *, allow_fetch: bool) -> Diagnosis:
    """Everything that can be known and measured under ``settings``."""
    cache_dir = cache_dir_of(settings.model)
    flags = cpu_flags()
    diagnosis = Diagnosis(
        versions={"completion-server": __version__, "python": platform.python_version(), **package_versions()},
        machine=describe_machine(),
        features={name: bool(flags.intersection(any_of)) for name, any_of in _FEATURES.items()},
        storage={"models": str(cache_dir), "free_disk_bytes": _free_disk(cache_dir)},
        model={"name": settings.model.name, "offline": settings.model.offline},
        timeout_ms=settings.latency.automatic_timeout_ms,
    )
    directory = None
    if settings.model.engine != "llama":
        directory = _find_model(settings, cache_dir, diagnosis, progress, allow_fetch=allow_fetch)
    _measure_llama_into(diagnosis, settings, progress)
    facts = _base_facts(settings, diagnosis, directory)
    if directory is not None:
        facts = _measure_into(diagnosis, facts, directory, settings, progress)
    diagnosis.warnings = machine_warnings(facts) + diagnosis.warnings
    if diagnosis.measured is not None:
        diagnosis.warnings += measured_warnings(diagnosis.measured, diagnosis.timeout_ms)
    if diagnosis.llama is not None:
        _keep_engine(diagnosis, diagnosis.llama, settings)
    return diagnosis


def _find_model(
    settings: Settings, cache_dir: Path, diagnosis: Diagnosis, progress: ShowProgress, *, allow_fetch: bool
) -> Path | None:
    def report(stage: str, done: int, total: int | None) -> None:
        progress(stage, done / total if total else None)

    model = settings.model
    try:
        return ensure_local(model.name, cache_dir, model.offline, allow_fetch, report)
    except ModelNotFoundError as error:
        diagnosis.model["problem"] = str(error)
    except ModelError as error:
        if isinstance(error, UnsupportedModelError) and may_replace_native(model):
            return None
        diagnosis.model["problem"] = str(error)
        diagnosis.warnings.append(str(error))
    return None


def _measure_llama_into(diagnosis: Diagnosis, settings: Settings, progress: ShowProgress) -> None:
    """What llama.cpp makes of a GGUF file; that it does not run matters only where it has to."""
    model = settings.model
    try:
        wants_llama(model)
        if not may_measure(model):
            return
        progress("measuring llama.cpp", None)
        diagnosis.llama = measure_file(model)
    except ModelError as error:
        if model.engine == "llama" or "problem" not in diagnosis.model:
            diagnosis.model["llama.cpp"] = str(error)
        if model.engine == "llama":
            diagnosis.warnings.append(str(error))


def _base_facts(settings: Settings, diagnosis: Diagnosis, directory: Path | None) -> MachineFacts:
    free_bytes = diagnosis.storage["free_disk_bytes"]
    cores = psutil.cpu_count(logical=False)
    return MachineFacts(
        cpu_flags=cpu_flags(),
        machine=platform.machine(),
        physical_cores=cores,
        usable_cores=num_usable_cores(),
        memory_available_bytes=psutil.virtual_memory().available,
        free_disk_bytes=free_bytes if isinstance(free_bytes, int) else 0,
        torch_version=diagnosis.versions["torch"],
        num_threads=settings.model.num_threads or 1,
        is_model_here=directory is not None or diagnosis.llama is not None or bool(diagnosis.warnings),
        is_offline=settings.model.offline,
        model_name=settings.model.name,
        load_average=psutil.getloadavg()[0],
    )


def _measure_into(
    diagnosis: Diagnosis, facts: MachineFacts, directory: Path, settings: Settings, progress: ShowProgress
) -> MachineFacts:
    """Load and measure; returns ``facts`` with what only a loaded model tells."""
    from completion_server.cli.doctor_measure import measure

    # Measured anew, without what was found before.
    write_tuning(Tuning(), directory, cache_dir_of(settings.model))

    diagnosis.model["path"] = str(directory)
    try:
        loaded, diagnosis.measured = measure(directory, settings.model, cache_dir_of(settings.model), progress)
        _keep_tuning(diagnosis, diagnosis.measured, directory, settings)
    except ModelError as error:
        diagnosis.model["problem"] = str(error)
        diagnosis.warnings.append(str(error))
        return facts
    diagnosis.model |= {
        "type": loaded.model_type,
        "backend": loaded.backend,
        "device": loaded.device,
        "dtype": loaded.dtype,
        "threads": loaded.num_threads,
        "weight_bytes": loaded.num_weight_bytes,
    }
    return replace(
        facts,
        has_torch_gpu=loaded.device == "cuda",
        device=loaded.device,
        dtype=loaded.dtype,
        num_threads=loaded.num_threads,
        model_bytes=loaded.num_weight_bytes,
    )


def _keep_tuning(diagnosis: Diagnosis, measured: Measurements, directory: Path, settings: Settings) -> None:
    from completion_server.cli.doctor_measure import tune

    tuning = tune(measured, settings.model)
    if tuning == Tuning():
        return
    try:
        write_tuning(tuning, directory, cache_dir_of(settings.model))
    except OSError as error:
        diagnosis.warnings.append(f"what measured best cannot be kept: {error}")
        return
    choice = f"{tuning.num_threads} thread" if tuning.num_threads else tuning.dtype
    diagnosis.model["from now on"] = f"{choice}, as that is faster here"


def _keep_engine(diagnosis: Diagnosis, llama: LlamaSpeed, settings: Settings) -> None:
    try:
        choice = keep_choice(settings.model, llama, diagnosis.measured, cache_dir_of(settings.model))
    except OSError as error:
        diagnosis.warnings.append(f"which engine is faster cannot be kept: {error}")
        return
    if choice:
        diagnosis.model["from now on"] = choice


def _free_disk(directory: Path) -> int:
    """Free bytes where ``directory`` is or will be."""
    for candidate in (directory, *directory.parents):
        if candidate.exists():
            return shutil.disk_usage(candidate).free
    return 0


def _show(console: Console, diagnosis: Diagnosis) -> None:
    for title, facts in _sections(diagnosis).items():
        console.print(title, style="bold" if console.is_terminal else "", soft_wrap=True)
        console.print(make_facts_table({f"  {name}": value for name, value in facts.items()}))
    for warning in diagnosis.warnings:
        console.print(f"! {warning}", style="yellow" if console.is_terminal else "", soft_wrap=True)
    if not diagnosis.warnings:
        console.print("No warnings.")


def _sections(diagnosis: Diagnosis) -> dict[str, dict[str, object]]:
    features = ", ".join(name for name, is_there in diagnosis.features.items() if is_there)
    machine = _labelled(diagnosis.machine)
    machine.pop("torch", None)
    machine.pop("python", None)
    sections: dict[str, dict[str, object]] = {
        "Versions": dict(diagnosis.versions),
        "Machine": {**machine, "CPU features": features or "(not known)"},
        "Models": _labelled(diagnosis.storage),
        "Model": _labelled(diagnosis.model),
    }
    if diagnosis.measured is not None:
        sections["Measured"] = _measured_rows(diagnosis.measured)
        fits = diagnosis.fits
        sections[f"What fits in {diagnosis.timeout_ms} ms"] = {
            "prompt tokens, nothing cached": fits["cold_prompt_tokens"],
            "generated tokens, prompt cached": fits["warm_generated_tokens"],
        }
    if diagnosis.llama is not None:
        sections["llama.cpp on this file"] = {
            "prefill": f"{diagnosis.llama.prefill_tokens_per_s:.0f} tokens/s",
            "decode step": f"{diagnosis.llama.decode_ms:.1f} ms",
        }
    return sections


def _measured_rows(measured: Measurements) -> dict[str, object]:
    passes = ", ".join(f"{size}: {elapsed_ms:.1f}" for size, elapsed_ms in measured.forward_ms.items())
    speed = "-" if measured.read_mb_per_s is None else f"{measured.read_mb_per_s:.0f} MB/s"
    return {
        "load weights": f"{measured.load_s:.1f} s (read at {speed})",
        "prefill": f"{measured.prefill_tokens_per_s:.0f} tokens/s",
        "decode step": f"{measured.decode_ms:.1f} ms (p95 is {measured.decode_spread:.1f} times that)",
        "pass of n tokens, ms": passes,
        **_other_ways(measured),
    }


def _other_ways(measured: Measurements) -> dict[str, object]:
    ways = {
        "decode step, one thread": measured.one_thread_decode_ms,
        "decode step, torch": measured.float_decode_ms,
    }
    return {name: f"{elapsed_ms:.1f} ms" for name, elapsed_ms in ways.items() if elapsed_ms is not None}


def _labelled(facts: Mapping[str, object]) -> dict[str, object]:
    """``facts`` with names and sizes for people."""
    return {name.removesuffix("_bytes").replace("_", " "): _sized(name, value) for name, value in facts.items()}


def _sized(name: str, value: Any) -> object:
    if name.endswith("_bytes") and isinstance(value, int):
        return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"
    return value
