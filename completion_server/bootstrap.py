"""The one place that names concrete classes: Settings become a model, an engine and a CompletionService.

Importing it is cheap; calling ``build_service`` reads weights and may import torch, which takes seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from completion_server.config import ModelSettings, Settings
from completion_server.errors import CompletionServerError, ConfigError
from completion_server.gate.calibration import packaged_calibration
from completion_server.gate.gate import Gate, recalibration_shift
from completion_server.service import CompletionService
from completion_server.usage_log.place import DATABASE_NAME, state_dir
from completion_server.usage_log.store import read_rows
from completion_server.usage_log.summary import acceptance

if TYPE_CHECKING:
    from completion_server.catalog.resolve import ResolvedModel

Progress = Callable[[str, float | None], None]

_log = logging.getLogger(__name__)


def build_service(settings: Settings, progress: Progress, *, allow_fetch: bool = True) -> CompletionService:
    """Fetch (first time only), load and warm up the model of ``settings``.

    ``progress(message, fraction)`` tells how far it is, the fraction None where that is not known. Raises
    ModelError with what to do about it.
    """
    resolved = resolve(settings, progress, allow_fetch=allow_fetch)
    return build_service_from_directory(
        resolved.path, settings, cache_dir_of(settings.model), progress, resolved.fim_format
    )


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
) -> CompletionService:
    """The same for a model directory (config.json, safetensors, tokenizer.json) that is there already."""
    from completion_server.backends.loading import load_model
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
    return CompletionService(engine, prompts, settings, _gate(settings))


def _gate(settings: Settings) -> Gate:
    """The model's calibration, moved by what this user has accepted so far; None moves nothing."""
    name = settings.model.name
    try:
        calibration = packaged_calibration(name)
    except ConfigError as error:
        _log.error("%s", error)
        calibration = None
    shift = 0.0
    if settings.log.acceptance and calibration is not None:
        try:
            rows = read_rows(state_dir() / DATABASE_NAME)
        except (CompletionServerError, OSError) as error:
            _log.warning("%s", error)
        else:
            shift = recalibration_shift(*acceptance(rows, name))
    return Gate(calibration, shift)


def _warm_up(engine: object) -> None:
    """One small forward pass, so that the first request does not pay for lazy set-up."""
    from completion_server.engine.engine import Engine
    from completion_server.model import Prompt
    from completion_server.request import CancellationToken, Deadline

    assert isinstance(engine, Engine)
    engine.prefill(Prompt((0,) * 4), Deadline.never(), CancellationToken())
    engine.clear()
