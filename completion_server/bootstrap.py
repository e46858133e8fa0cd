"""The one place that names concrete classes: Settings become a model, an engine and a CompletionService.

Importing it is cheap; calling ``build_service`` reads weights and may import torch, which takes seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from completion_server.config import ModelSettings, Settings
from completion_server.service import CompletionService

if TYPE_CHECKING:
    from completion_server.catalog.resolve import ResolvedModel
    from completion_server.cross_file import ContextSource

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
    says so, and by default those that cannot be converted.
    """
    from completion_server.errors import UnsupportedModelError
    from completion_server.llama.build import may_replace_native, wants_llama

    if settings.remote.url:
        return _build_remote_service(settings, progress, context)
    if wants_llama(settings.model):
        return _build_llama_service(settings, progress, context)
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
    # It shows no snippets, but it knows which documents are nobody's business.
    return CompletionService(engine, prompts, settings, context or ContextCollector())


def _build_llama_service(
    settings: Settings, progress: Progress, context: ContextSource | None
) -> CompletionService:
    from completion_server.context.collect import ContextCollector
    from completion_server.llama.build import build_llama

    engine, prompts = build_llama(settings, progress)
    return CompletionService(engine, prompts, settings, context or ContextCollector())


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
    from completion_server.backends.loading import load_model
    from completion_server.context.collect import ContextCollector
    from completion_server.engine.engine import Engine
    from completion_server.prompt.build import ModelFacts, PromptBuilder
    from completion_server.tokenizer import StreamingDetokenizer, Tokenizer

    tokenizer = Tokenizer.from_directory(directory)
    loaded = load_model(directory, settings.model, cache_dir, progress)
    prompts = PromptBuilder(
        tokenizer,
        ModelFacts(loaded.model_type, loaded.model.max_context, stated_fim_format),
        fim_format=settings.model.fim_format,
        prompt_order=settings.model.prompt_order,
    )
    for warning in prompts.warnings:
        _log.warning("%s", warning)
    facts: dict[str, object] = {
        "model": settings.model.name,
        "model_type": loaded.model_type,
        "backend": loaded.backend,
        "device": loaded.device,
        "dtype": loaded.dtype,
        "num_threads": loaded.num_threads,
        "weight_bytes": loaded.num_weight_bytes,
        "fim_format": prompts.format_name,
        "prompt_order": prompts.order_name,
        "warnings": list(prompts.warnings),
    }

    def new_detokenizer(skipped: bytes) -> StreamingDetokenizer:
        return StreamingDetokenizer(tokenizer, num_skipped_bytes=len(skipped))

    engine = Engine(loaded.model, new_detokenizer, settings, facts)
    progress("warming up", None)
    prompts.warm_up()
    _warm_up(engine)
    return CompletionService(engine, prompts, settings, context or ContextCollector())


def _warm_up(engine: object) -> None:
    """One small forward pass, so that the first request does not pay for lazy set-up."""
    from completion_server.engine.engine import Engine
    from completion_server.model import Prompt
    from completion_server.request import CancellationToken, Deadline

    assert isinstance(engine, Engine)
    engine.prefill(Prompt((0,) * 4), Deadline.never(), CancellationToken())
    engine.clear()
