"""A remote engine and one call of it, in a line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from completion_server.config import RemoteSettings, Settings
from completion_server.engine.engine import GenerationResult
from completion_server.engine.stopping import StopRule
from completion_server.model import SamplingParams
from completion_server.remote.breaker import CircuitBreaker
from completion_server.remote.build import build_remote
from completion_server.remote.engine import RemoteEngine
from completion_server.remote.prompt import RemotePrompt, RemotePromptBuilder
from completion_server.request import CancellationToken, Deadline
from tests.support.marked import parse_marked

GUARD_MS = 30_000


class Remote:
    """An engine with its prompts."""

    def __init__(self, engine: RemoteEngine, prompts: RemotePromptBuilder, settings: Settings) -> None:
        self.engine = engine
        self.prompts = prompts
        self.settings = settings

    def prompt(self, marked: str, max_new_tokens: int = 16) -> RemotePrompt:
        return self.prompts.build(*parse_marked(marked), self.settings, max_new_tokens)

    def ask(
        self,
        marked: str = "x = ˇ\n",
        *,
        rules: Sequence[StopRule] = (),
        deadline: Deadline | None = None,
        cancellation: CancellationToken | None = None,
        num_alternatives: int = 1,
        **sampling: Any,
    ) -> GenerationResult:
        parameters = SamplingParams(**{"max_new_tokens": 16, **sampling})
        return self.engine.generate(
            self.prompt(marked, parameters.max_new_tokens),
            parameters,
            list(rules),
            deadline or Deadline.after_ms(GUARD_MS),
            cancellation or CancellationToken(),
            num_alternatives,
        )

    def text(self, marked: str = "x = ˇ\n", **options: Any) -> str:
        result = self.ask(marked, **options)
        assert result.generations, result
        return result.generations[0].text


@contextmanager
def connected(
    url: str, *, breaker: CircuitBreaker | None = None, settings: Settings | None = None, **remote: Any
) -> Iterator[Remote]:
    """A remote engine for ``url``; keywords are the settings of ``remote``."""
    base = settings or Settings()
    whole = Settings(
        remote=RemoteSettings(url=url, **remote), model=base.model, context=base.context, latency=base.latency
    )
    engine, prompts = build_remote(whole, breaker)
    try:
        yield Remote(engine, prompts, whole)
    finally:
        engine.close()
