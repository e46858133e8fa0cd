"""The one place that names concrete classes: Settings become a model, an engine and a CompletionService.

Importing it is cheap; calling ``build_service`` reads weights and may import torch, which takes seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from completion_server.config import ModelSettings, Settings
from completion_server.errors import (
    ModelError,
    SharedEngineError,
    UnsupportedModelError,
)
from completion_server.gate.calibration import packaged_calibration
from completion_server.gate.gate import Gate, recalibration_shift
from completion_server.service import CompletionService
from completion_server.usage_log.place import DATABASE_NAME, state_dir
from completion_server.usage_log.store import read_rows
from completion_server.usage_log.summary import acceptance

if TYPE_CHECKING:
    from completion_server.catalog.resolve import ResolvedModel
    from completion_server.cross_file import ContextSource
    from completion_server.engine.engine import Engine
    from completion_server.prompt.build import PromptBuilder
    from completion_server.shared.engine import SharedEngine
    from completion_server.tokenizer import Tokenizer

Progress = Callable[[str, float | None], None]

_log = logging.getLogger(__name__)


def build_service(
    settings: Settings,
    progress: Progress,
    *,
    allow_fetch: bool = True,
    context: ContextSource | None = None,
) -> CompletionService:
    """Fetch (first time only), load and warm up the model of ``settings``.

    ``progress(message, fraction)`` tells how far it is, the fraction None where that is not known. ``context``
    None: one that indexes workspaces in the background. Raises ModelError with what to do about it. Where
    ``remote.url`` names a server, no model is fetched or loaded. llama.cpp runs GGUF files where ``model.engine``
    says so, and by default those that cannot be converted or on which ``doctor`` found it clearly faster.
    """
    from completion_server.llama.build import may_replace_native, prefers_llama, wants_llama

    if settings.remote.url:
        return _build_remote_service(settings, progress, context)
    if wants_llama(settings.model):
        return _build_llama_service(settings, progress, context)
    if prefers_llama(settings.model, cache_dir_of(settings.model)):
        try:
            return _build_llama_service(settings, progress, context)
        except ModelError as error:
            _log.warning("llama.cpp was faster on this file before, and now does not run it: %s", error)
    try:
        resolved = resolve(settings, progress, allow_fetch=allow_fetch)
    except UnsupportedModelError as error:
        if not may_replace_native(settings.model):
            raise
        _log.info("llama.cpp runs what cannot be converted: %s", error)
        return _build_llama_service(settings, progress, context)
    return build_service_from_directory(
        resolved.path, settings, cache_dir_of(settings.model), progress, resolved.fim_format, context
    )


def _build_remote_service(
    settings: Settings, progress: Progress, context: ContextSource | None
) -> CompletionService:
    from completion_server.context.collect import ContextCollector
    from completion_server.remote.build import build_remote

    progress("connecting to the model server", None)
    engine, prompts = build_remote(settings)
    # It shows no snippets, but it knows which documents are excluded.
    return CompletionService(engine, prompts, settings, context or ContextCollector(), gate=_gate(settings))


def _build_llama_service(
    settings: Settings, progress: Progress, context: ContextSource | None
) -> CompletionService:
    from completion_server.context.collect import ContextCollector
    from completion_server.llama.build import build_llama

    engine, prompts = build_llama(settings, progress)
    return CompletionService(engine, prompts, settings, context or ContextCollector(), gate=_gate(settings))


def resolve(settings: Settings, progress: Progress, *, allow_fetch: bool = True) -> ResolvedModel:
    """The directory of the model that ``settings`` name, fetched first if need be. Raises ModelError."""
    from completion_server.catalog.resolve import FetchPolicy, resolve_model

    model_settings = settings.model

    def report(stage: str, done: int, total: int | None) -> None:
        progress(stage, done / total if total else None)

    policy = FetchPolicy(model_settings.offline, allow_fetch)
    return resolve_model(model_settings.name, cache_dir_of(settings.model), policy, report)


def cache_dir_of(model: ModelSettings) -> Path:
    """Where models, and what is made of them, are kept."""
    from completion_server.catalog.store import default_cache_dir

    return Path(model.cache_dir).expanduser() if model.cache_dir else default_cache_dir()


def build_service_from_directory(
    directory: Path,
    settings: Settings,
    cache_dir: Path,
    progress: Progress,
    stated_fim_format: str | None = None,
    context: ContextSource | None = None,
) -> CompletionService:
    """The same for a model directory (config.json, safetensors, tokenizer.json) that is there already."""
    from completion_server.context.collect import ContextCollector

    loaded = load_engine_from_directory(directory, settings, cache_dir, progress)
    prompts, facts = prompts_for(loaded, settings, stated_fim_format)
    loaded.engine.describe(facts)
    prompts.warm_up()
    return CompletionService(loaded.engine, prompts, settings, context or ContextCollector(), gate=_gate(settings))


@dataclass(frozen=True)
class PromptModel:
    """What prompts for a model depend on."""

    tokenizer: Tokenizer
    model_type: str
    max_context: int


@dataclass(frozen=True)
class LoadedEngine(PromptModel):
    """An engine that is ready to compute, with the model in ``directory``."""

    engine: Engine
    directory: Path


def load_engine_from_directory(
    directory: Path, settings: Settings, cache_dir: Path, progress: Progress
) -> LoadedEngine:
    """Load and warm up the model in ``directory``. Raises ModelError."""
    from completion_server.backends.loading import load_model
    from completion_server.engine.engine import Engine
    from completion_server.tokenizer import StreamingDetokenizer, Tokenizer

    tokenizer = Tokenizer.from_directory(directory)
    loaded = load_model(directory, settings.model, cache_dir, progress)
    facts: dict[str, object] = {
        "model": settings.model.name,
        "model_type": loaded.model_type,
        "backend": loaded.backend,
        "device": loaded.device,
        "dtype": loaded.dtype,
        "num_threads": loaded.num_threads,
        "weight_bytes": loaded.num_weight_bytes,
    }

    def new_detokenizer(skipped: bytes) -> StreamingDetokenizer:
        return StreamingDetokenizer(tokenizer, num_skipped_bytes=len(skipped))

    engine = Engine(loaded.model, new_detokenizer, settings, facts)
    progress("warming up", None)
    _warm_up(engine)
    return LoadedEngine(tokenizer, loaded.model_type, loaded.model.max_context, engine, directory)


def _gate(settings: Settings) -> Gate:
    """The model's calibration, moved by what this user has accepted so far; None moves nothing."""
    from completion_server.catalog.origin import origin_of

    name = settings.model.name
    try:
        calibration = packaged_calibration(origin_of(name))
    except Exception as error:  # noqa: BLE001 - nothing that is optional keeps a model from being loaded
        _log.error("automatic suggestions are not filtered: %s", error)
        calibration = None
    shift = 0.0
    if settings.log.acceptance and calibration is not None:
        try:
            shift = recalibration_shift(*acceptance(read_rows(state_dir() / DATABASE_NAME), name))
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("what was accepted before is not used: %s", error)
    return Gate(calibration, shift)


def prompts_for(
    model: PromptModel, settings: Settings, stated_fim_format: str | None = None
) -> tuple[PromptBuilder, dict[str, object]]:
    """The prompts for ``model``, and facts about them for users."""
    from completion_server.catalog.origin import origin_of
    from completion_server.catalog.registry import find_entry
    from completion_server.prompt.build import ModelFacts, PromptBuilder

    entry = find_entry(origin_of(settings.model.name))
    has_local_ngrams = entry is not None and entry.has_local_ngrams
    prompts = PromptBuilder(
        model.tokenizer,
        ModelFacts(model.model_type, model.max_context, stated_fim_format, has_local_ngrams),
        fim_format=settings.model.fim_format,
        prompt_order=settings.model.prompt_order,
    )
    for warning in prompts.warnings:
        _log.warning("%s", warning)
    facts: dict[str, object] = {
        "fim_format": prompts.format_name,
        "prompt_order": prompts.order_name,
        "warnings": list(prompts.warnings),
    }
    return prompts, facts


class SharedServiceBuilder:
    """Builds services for one window whose engine is another process, one after the other.

    In this process where there can be no such engine, or where the settings say so.
    """

    def __init__(self) -> None:
        self._engine: SharedEngine | None = None

    def __call__(self, settings: Settings, progress: Progress) -> CompletionService:
        """As ``build_service``, which it falls back on."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        from completion_server.llama.build import may_replace_native, prefers_llama, wants_llama

        model = settings.model
        is_alone = not model.shared or settings.remote.url or wants_llama(model)
        if is_alone or prefers_llama(model, cache_dir_of(model)):
            return build_service(settings, progress)
        try:
            return self._build(settings, progress)
        except SharedEngineError as error:
            _log.warning("%s; the model is loaded in this process", error)
            return build_service(settings, progress)
        except UnsupportedModelError:
            if not may_replace_native(settings.model):
                raise
            return build_service(settings, progress)

    def _build(self, settings: Settings, progress: Progress) -> CompletionService:
        from completion_server.context.collect import ContextCollector
        from completion_server.shared.address import address_of
        from completion_server.shared.engine import SharedEngine
        from completion_server.tokenizer import Tokenizer

        engine = SharedEngine(address_of(settings.model), settings)
        try:
            ready = engine.connect(progress)
            tokenizer = Tokenizer.from_directory(Path(ready.directory))
            model = PromptModel(tokenizer, ready.model_type, ready.max_context)
            prompts, facts = prompts_for(model, settings, ready.stated_fim_format)
            prompts.warm_up()
        except BaseException:
            engine.close()
            raise
        engine.describe(facts)
        self._engine = engine
        return CompletionService(
            engine,
            prompts,
            settings,
            ContextCollector(),
            lambda: time.process_time() + engine.cpu_seconds,
            gate=_gate(settings),
        )


def _warm_up(engine: Engine) -> None:
    """One small forward pass, so that the first request does not pay for lazy set-up."""
    from completion_server.model import Prompt
    from completion_server.request import CancellationToken, Deadline

    engine.prefill(Prompt((0,) * 4), Deadline.never(), CancellationToken())
    engine.clear()
