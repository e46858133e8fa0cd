"""Settings that name a GGUF file become a running llama.cpp server, an engine over it and the prompts for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from completion_server.backends.threads import choose_num_threads
from completion_server.backends.tuning import read_tuning
from completion_server.config import ModelSettings, RemoteSettings, Settings
from completion_server.errors import ModelError, ModelNotFoundError, UnsupportedModelError
from completion_server.llama.child import LlamaOptions, is_installed
from completion_server.llama.engine import LlamaEngine
from completion_server.llama.gguf_facts import GgufFacts, read_facts
from completion_server.llama.process import LlamaProcess
from completion_server.remote.address import parse_address
from completion_server.remote.connection import Connection, KnownModel
from completion_server.remote.prompt import RemotePromptBuilder
from completion_server.remote.transport import Transport

Progress = Callable[[str, float | None], None]

# llama.cpp looks for a cancel between two batches, which should take less than a third of a second. Against 256
# tokens, 128 cost 3% of the speed of reading and 64 cost 10% (a model of 135M).
_NUM_BATCH, _NUM_LARGE_BATCH = 128, 64
_LARGE_BYTES = 300 << 20
_NUM_INFILL_BATCH = 1024  # /infill keeps 3/4 of a batch of the prefix and 1/4 of the suffix
_NUM_EXTRA_TOKENS = 64  # sentinels, and the word at the cursor that is written again
_CONTEXT_STEP = 256
_MIN_CONTEXT = 2048
_LOAD_SECONDS = 600.0  # a file of many gigabytes on a slow disk


def is_gguf(model: ModelSettings) -> bool:
    """Whether ``model.name`` is a GGUF file."""
    return Path(model.name).suffix.lower() == ".gguf"


def wants_llama(model: ModelSettings) -> bool:
    """Whether llama.cpp is asked for. Raises ModelError, with what to do, where that is not possible."""
    if model.engine != "llama":
        return False
    if not is_gguf(model):
        raise UnsupportedModelError(
            f"model.engine llama runs .gguf files, and model.name is {model.name}: name such a file, or set"
            " model.engine to auto"
        )
    if not is_installed():
        raise ModelError("model.engine llama needs xllamacpp: pip install 'completion-server[gguf]'")
    return True


def prefers_llama(model: ModelSettings, cache_dir: Path) -> bool:
    """Whether ``doctor`` found llama.cpp clearly faster on this file, and the choice is left to the server."""
    if not may_replace_native(model):
        return False
    return read_tuning(Path(model.name).expanduser(), cache_dir).engine == "llama"


def may_replace_native(model: ModelSettings) -> bool:
    """Whether llama.cpp may run what the native engine turned out not to know."""
    return model.engine == "auto" and is_gguf(model) and is_installed()


def build_llama(settings: Settings, progress: Progress) -> tuple[LlamaEngine, RemotePromptBuilder]:
    """Start the server with the file ``settings.model.name`` and wait until it answers.

    Raises ModelNotFoundError, or ModelError with llama.cpp's own words for a file that it refuses.
    """
    path = _existing(settings.model.name)
    progress(f"reading {path.name}", None)
    facts = read_facts(path)
    options = choose_options(path, settings, facts)

    def connect(process: LlamaProcess, url: str) -> Connection:
        address = parse_address(url)
        remote = RemoteSettings(
            url=url,
            dialect="auto" if facts.tokenizer is None else "llama-completion",
            fim_format=settings.model.fim_format,
        )
        return Connection(
            address,
            remote,
            Transport(address, process.api_key),
            KnownModel(facts.tokenizer, facts.architecture or None, facts.fim_format),
            prompt_order=settings.model.prompt_order,
        )

    shown: dict[str, object] = {
        "model": settings.model.name,
        "model_type": facts.architecture,
        "device": "cpu" if options.num_gpu_layers == 0 else "llama.cpp's choice",
        "dtype": facts.dtype,
        "num_threads": options.num_threads,
        "weight_bytes": facts.num_bytes,
        "warnings": list(facts.notes),
    }
    engine = LlamaEngine(lambda: LlamaProcess(options), connect, shown)
    progress("loading the model into llama.cpp", None)
    engine.start(_LOAD_SECONDS)
    return engine, RemotePromptBuilder(engine.current_plan, facts.tokenizer)


def choose_options(path: Path, settings: Settings, facts: GgufFacts) -> LlamaOptions:
    """Room for the longest prompt and answer that the settings allow, in as few batches as cancelling permits."""
    generation = settings.generation
    needed = (
        settings.context.max_prompt_tokens
        + max(generation.automatic_max_tokens, generation.invoked_max_tokens)
        + _NUM_EXTRA_TOKENS
    )
    num_context = max(-(-needed // _CONTEXT_STEP) * _CONTEXT_STEP, _MIN_CONTEXT)
    return LlamaOptions(
        str(path),
        choose_num_threads(settings.model.num_threads),
        min(num_context, facts.max_context or num_context),
        num_batch=_num_batch(facts),
        cache_mib=settings.cache.prefix_cache_mb,
        num_gpu_layers=0 if settings.model.device == "cpu" else None,
        may_spin=False,  # beside a compiler, two threads were several times slower than one
    )


def _num_batch(facts: GgufFacts) -> int:
    if facts.tokenizer is None:
        return _NUM_INFILL_BATCH
    return _NUM_LARGE_BATCH if facts.num_bytes > _LARGE_BYTES else _NUM_BATCH


def _existing(name: str) -> Path:
    try:
        path = Path(name).expanduser().resolve(strict=True)
        with path.open("rb"):
            return path
    except OSError as error:
        raise ModelNotFoundError(f"{name} cannot be read: {error.strerror or error}") from error
