"""The model of the engine process: loaded once, asked for all windows, and described without waiting for it."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from completion_server.config import CacheSettings, LatencySettings, Settings
from completion_server.engine.engine import Engine
from completion_server.engine.prefix_cache import HeldTokens
from completion_server.engine.stopping import StopRule
from completion_server.engine_host.scheduler import Job, Scheduler, Urgency
from completion_server.errors import CompletionServerError
from completion_server.model import Prompt, SamplingParams
from completion_server.request import CancellationToken, Deadline
from completion_server.scheduling import forget_loaded_objects
from completion_server.shared.wire import EngineState, LoadFailed, Loading, Ready, with_allowed

log = logging.getLogger(__name__)

Progress = Callable[[str, "float | None"], None]
Announcement = Loading | Ready | LoadFailed

HOUSEKEEPING = ""
"""The owner of work that is nobody's in particular."""


class HostTokenizer(Protocol):
    """What the host itself needs of a tokenizer."""

    def tokens_extending(self, prefix: bytes) -> Sequence[int]: ...


@dataclass(frozen=True)
class HostedModel:
    """An engine, and what windows need to make prompts for it."""

    engine: Engine
    tokenizer: Any
    directory: str
    model_type: str
    max_context: int
    stated_fim_format: str | None = None


@dataclass(frozen=True)
class Question:
    """What ``Engine.generate`` is asked; healing may lack what is allowed (``wire.without_allowed``)."""

    prompt: Prompt
    sampling: SamplingParams
    rules: Sequence[StopRule]
    deadline: Deadline
    num_alternatives: int = 1


class EngineHost:
    """Everything that touches the engine goes through here and onto the scheduler's thread."""

    def __init__(self, load: Callable[[Progress], HostedModel], announce: Callable[[Announcement], None]) -> None:
        """``load`` runs on the model thread and may raise; ``announce`` is called there with each step of it."""
        self._load = load
        self._announce = announce
        self._scheduler = Scheduler(self._publish)
        self._model: HostedModel | None = None
        self._held = HeldTokens()
        self._tokens_per_ms = 0.0
        self._status: dict[str, Any] = {}
        self._cpu_seconds: defaultdict[str, float] = defaultdict(float)
        self.announcement: Announcement = Loading("starting", None)

    @property
    def model(self) -> HostedModel | None:
        """None until it is loaded."""
        return self._model

    @property
    def num_waiting(self) -> int:
        """Work that has not begun."""
        return self._scheduler.num_waiting

    def start(self) -> None:
        """Start the model thread; the first thing it does is to load."""
        self._scheduler.submit(HOUSEKEEPING, self._do_load, Urgency.HOUSEKEEPING)
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.stop()

    def join(self, timeout_seconds: float) -> bool:
        """Whether the model thread has ended."""
        return self._scheduler.join(timeout_seconds)

    def state_for(self, owner: str) -> EngineState:
        """As of the last work that ended; never waits."""
        return EngineState(self._tokens_per_ms, self._status, self._cpu_seconds[owner])

    def forget(self, owner: str) -> None:
        """A window has left."""
        self._cpu_seconds.pop(owner, None)

    def num_missing(self, token_ids: Sequence[int]) -> int:
        """How many of ``token_ids`` would have to be fed, as of the last work that ended; never waits."""
        return len(token_ids) - self._held.num_held(token_ids)

    def generate(self, owner: str, question: Question, urgency: Urgency) -> Job:
        """The job's result is a GenerationResult."""
        model = self._loaded()

        def work(token: CancellationToken) -> object:
            prompt = with_allowed(question.prompt, model.tokenizer.tokens_extending)
            return model.engine.generate(
                prompt, question.sampling, question.rules, question.deadline, token, question.num_alternatives
            )

        return self._scheduler.submit(owner, work, urgency)

    def prefill(self, owner: str, prompt: Prompt, deadline: Deadline) -> Job:
        """Idle work; the job's result is the number of tokens fed."""
        engine = self._loaded().engine
        return self._scheduler.submit(owner, lambda token: engine.prefill(prompt, deadline, token), Urgency.IDLE)

    def clear(self, owner: str) -> Job:
        """The job's result is 0."""
        engine = self._loaded().engine

        def work(_token: CancellationToken) -> int:
            engine.clear()
            return 0

        return self._scheduler.submit(owner, work, Urgency.HOUSEKEEPING)

    def apply(self, prefix_cache_mb: int, prefill_chunk_ms: int) -> None:
        """Use these settings from the next work on."""
        if self._model is None:
            return
        engine = self._model.engine
        settings = Settings(
            cache=CacheSettings(prefix_cache_mb=prefix_cache_mb),
            latency=LatencySettings(prefill_chunk_ms=prefill_chunk_ms),
        )
        self._scheduler.submit(HOUSEKEEPING, lambda _token: engine.apply_settings(settings), Urgency.HOUSEKEEPING)

    def cancel(self, job: Job) -> None:
        self._scheduler.cancel(job)

    def expire(self, job: Job) -> None:
        self._scheduler.expire(job)

    def _loaded(self) -> HostedModel:
        if self._model is None:
            raise CompletionServerError("the model is not loaded yet")
        return self._model

    # On the model thread

    def _do_load(self, _token: CancellationToken) -> None:
        try:
            model = self._load(lambda message, fraction: self._say(Loading(message, fraction)))
            model.tokenizer.tokens_extending(b" ")  # builds its tables, so that the first request does not
            forget_loaded_objects()
        except Exception as error:
            is_own = isinstance(error, CompletionServerError)
            log.error("the model cannot be loaded: %s", error, exc_info=not is_own)
            message = str(error) if is_own else f"loading failed: {error!r}"
            self._say(LoadFailed(type(error).__name__, message))
            return
        self._model = model
        self._publish(HOUSEKEEPING, 0.0)
        facts = self._status
        self._say(
            Ready(
                model.directory,
                model.model_type,
                model.max_context,
                model.stated_fim_format,
                facts,
                EngineState(self._tokens_per_ms, facts),
            )
        )

    def _say(self, announcement: Announcement) -> None:
        self.announcement = announcement
        self._announce(announcement)

    def _publish(self, owner: str, cpu_seconds: float) -> None:
        """What other threads may know, taken between two jobs."""
        self._cpu_seconds[owner] += cpu_seconds
        if self._model is None:
            return
        engine = self._model.engine
        self._held = engine.prefix_cache.snapshot()
        self._tokens_per_ms = engine.num_tokens_within(1.0)
        self._status = engine.status()
