"""The doctor's look at llama.cpp, for models that are GGUF files: how fast it is, and whether to prefer it."""

from __future__ import annotations

from pathlib import Path

from completion_server.backends.threads import choose_num_threads
from completion_server.backends.tuning import Tuning, write_tuning
from completion_server.cli.doctor_finding import Measurements, is_clearly_less
from completion_server.config import ModelSettings
from completion_server.llama.build import is_gguf
from completion_server.llama.child import is_installed
from completion_server.llama.timing import LlamaSpeed, measure_llama


def may_measure(model: ModelSettings) -> bool:
    """Whether llama.cpp could run this model here, as far as can be told without trying."""
    return model.engine != "native" and is_gguf(model) and is_installed()


def measure_file(model: ModelSettings) -> LlamaSpeed:
    """Raises ModelError where llama.cpp does not take the file."""
    return measure_llama(Path(model.name).expanduser(), choose_num_threads(model.num_threads))


def keep_choice(model: ModelSettings, llama: LlamaSpeed, native: Measurements | None, cache_dir: Path) -> str:
    """Let ``model.engine = auto`` take what is clearly faster from now on; says what, "" where nothing changes.

    Raises OSError.
    """
    if native is None or model.engine != "auto":
        return ""
    is_faster = is_clearly_less(llama.decode_ms, native.decode_ms)
    write_tuning(Tuning(engine="llama") if is_faster else Tuning(), Path(model.name).expanduser(), cache_dir)
    if not is_faster:
        return ""
    return (
        f"llama.cpp, which writes a token of this file in {llama.decode_ms:.1f} ms, this process in"
        f" {native.decode_ms:.1f} ms (model.engine = native: this process all the same, as it keeps more of what"
        " was read before and shows the model other files)"
    )
