"""The doctor's look at llama.cpp, for models that are GGUF files: how fast it is, and whether to prefer it."""

from __future__ import annotations

from pathlib import Path

from completion_server.backends.threads import choose_num_threads
from completion_server.cli.doctor_finding import Measurements
from completion_server.config import ModelSettings
from completion_server.llama.build import is_gguf
from completion_server.llama.child import is_installed
from completion_server.llama.timing import LlamaSpeed, measure_llama

_CLEARLY = 0.8


def may_measure(model: ModelSettings) -> bool:
    """Whether llama.cpp could run this model here, as far as can be told without trying."""
    return model.engine != "native" and is_gguf(model) and is_installed()


def measure_file(model: ModelSettings) -> LlamaSpeed:
    """Raises ModelError where llama.cpp does not take the file."""
    return measure_llama(Path(model.name).expanduser(), choose_num_threads(model.num_threads))


def llama_advice(model: ModelSettings, llama: LlamaSpeed, native: Measurements | None) -> list[str]:
    """Which engine is clearly faster, where both run the file and the other is set."""
    if native is None or model.engine == "llama":
        return []
    if llama.decode_ms < _CLEARLY * native.decode_ms:
        return [
            f"llama.cpp writes a token of this file in {llama.decode_ms:.1f} ms, this process in"
            f" {native.decode_ms:.1f} ms: set model.engine to llama. (It keeps less of what was read before, and"
            " shows the model no other files.)"
        ]
    return []
