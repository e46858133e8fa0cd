"""What measured best here for one model: engine, weight type, threads. ``doctor`` writes it, loading reads it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import msgspec

from completion_server.backends.threads import num_usable_cores
from completion_server.config import ModelSettings
from completion_server.safe_files import read_bounded

_MAX_BYTES = 1 << 16


class Tuning(msgspec.Struct, frozen=True):
    """Stands in for settings that leave the choice to the server; ``num_threads`` 0 leaves it open too."""

    dtype: str = "auto"
    num_threads: int = 0
    engine: str = "auto"
    """Of a GGUF file: "llama" where llama.cpp is clearly faster than the native engine."""


def with_tuning(settings: ModelSettings, directory: Path, cache_dir: Path) -> ModelSettings:
    """``settings`` with what ``doctor`` found for the model in ``directory``, where the user has set nothing."""
    tuning = read_tuning(directory, cache_dir)
    if settings.dtype != "auto" or settings.device not in {"auto", "cpu"}:
        return settings
    dtype: Any = tuning.dtype
    return msgspec.structs.replace(settings, dtype=dtype, num_threads=settings.num_threads or tuning.num_threads)


def read_tuning(directory: Path, cache_dir: Path) -> Tuning:
    """What was found before; nothing when there is none for this model on this machine."""
    with contextlib.suppress(
        OSError, ValueError, RuntimeError
    ):  # the last: a loop of links, JSON nested too deeply
        tuning = msgspec.json.decode(read_bounded(_path(directory, cache_dir), _MAX_BYTES), type=Tuning)
        is_known = tuning.dtype in {"auto", "int8", "float32", "bfloat16"} and tuning.engine in {"auto", "llama"}
        if is_known and 0 <= tuning.num_threads <= 256:
            return tuning
    return Tuning()


def write_tuning(tuning: Tuning, directory: Path, cache_dir: Path) -> None:
    """Keep ``tuning``, or forget what was kept when it leaves all open. Raises OSError."""
    path = _path(directory, cache_dir)
    if tuning == Tuning():
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(msgspec.json.encode(tuning))
    partial.replace(path)


def _path(directory: Path, cache_dir: Path) -> Path:
    """One file per model (directory or GGUF file) and machine: several machines may share a cache directory."""
    facts = [str(directory.resolve()), platform.node(), platform.machine(), num_usable_cores()]
    return cache_dir / "tuning" / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.json"
