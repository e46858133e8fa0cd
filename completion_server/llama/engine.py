"""The service's engine over a llama.cpp server of our own, which is started again when it dies.

The questions themselves are those of ``remote.engine``, in the dialect of token ids. Lives on the model thread;
nothing here waits but the first start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from completion_server.config import Settings
from completion_server.engine.engine import GenerationResult
from completion_server.engine.stopping import StopRule
from completion_server.errors import ModelError
from completion_server.llama.process import LlamaProcess
from completion_server.model import Prompt, SamplingParams
from completion_server.remote.breaker import CircuitBreaker
from completion_server.remote.connection import Connection
from completion_server.remote.engine import EmptyStats, RemoteEngine
from completion_server.remote.prompt import PromptPlan
from completion_server.request import CancellationToken, Deadline, FinishReason

_FREE_RESTARTS = 2  # failures in a row after which it is left alone for a while
_PROBE_SECONDS = 10.0
_SHORT_PROBE_SECONDS = 0.05  # on this machine the questions of a probe take a few milliseconds

_log = logging.getLogger(__name__)


class LlamaEngine:
    """``TextEngine`` that owns a child process."""

    def __init__(
        self,
        launch: Callable[[], LlamaProcess],
        connect: Callable[[LlamaProcess, str], Connection],
        facts: Mapping[str, object],
        breaker: CircuitBreaker | None = None,
    ) -> None:
        """``launch`` starts a process; ``connect`` makes a connection to its address. ``facts`` go into status."""
        self._launch = launch
        self._connect = connect
        self._facts = dict(facts)
        self._breaker = breaker or CircuitBreaker(max_failures=_FREE_RESTARTS)
        self._process: LlamaProcess | None = None
        self._remote: RemoteEngine | None = None
        self._num_starts = 0
        self._is_closed = False

    def start(self, timeout_seconds: float) -> None:
        """Start the server for the first time and wait until it answers. Raises ModelError with its own words."""
        self._process = self._launch()
        self._num_starts += 1
        try:
            address = self._process.address(timeout_seconds)
            if address is None:
                raise ModelError(f"llama.cpp's server was not ready within {timeout_seconds:.0f} s")
            self._adopt(self._process, address, _PROBE_SECONDS)
            if self.current_plan() is None:
                raise ModelError("llama.cpp's server does not answer: " + self._why_not())
        except ModelError:
            self._drop()
            raise
        for warning in self._warnings():
            _log.warning("%s", warning)

    def current_plan(self) -> PromptPlan | None:
        """How prompts look for the server that runs just now; None while there is none."""
        self._supervise()
        if self._remote is None:
            return None
        self._remote.connection.look()
        return self._remote.connection.current_plan()

    def generate(
        self,
        prompt: Prompt,
        sampling: SamplingParams,
        stop_rules: Sequence[StopRule],
        deadline: Deadline,
        cancellation: CancellationToken,
        num_alternatives: int = 1,
    ) -> GenerationResult:
        """As ``RemoteEngine.generate``; empty, with the reason, while there is no server."""
        self._supervise()
        if self._remote is None:
            return GenerationResult((), FinishReason.SKIPPED, EmptyStats(reason=self._why_not()))
        result = self._remote.generate(prompt, sampling, stop_rules, deadline, cancellation, num_alternatives)
        if result.finish_reason is FinishReason.ERROR:
            self._supervise()  # if it died, the next key should find it again
        elif result.stats.prefill_ms:
            self._breaker.succeeded()
        return result

    def prefill(self, prompt: Prompt, deadline: Deadline, cancellation: CancellationToken) -> int:  # noqa: ARG002
        """Nothing: the server has one slot, and the next key may come at any time."""
        return 0

    def num_missing_tokens(self, prompt: Prompt) -> int:  # noqa: ARG002
        """Not known; the server keeps the last prompt and most of what was before it."""
        return 0

    def num_tokens_within(self, elapsed_ms: float) -> float:  # noqa: ARG002
        """No limit: what the server has in its prefix cache is not known here."""
        return float("inf")

    def clear(self) -> None:
        """Nothing is kept here."""

    def apply_settings(self, settings: Settings) -> None:
        """Nothing depends on them but the prompts, which fit into the context that the server was started with."""

    def close(self) -> None:
        """End the server for good."""
        self._is_closed = True
        self._drop()

    def status(self) -> dict[str, object]:
        self._supervise()
        remote = self._remote.status() if self._remote is not None else {}
        taken_over = ("dialect", "dialect_notes", "fim_format", "prompt_order", "max_context", "totals")
        return {
            "backend": "llama.cpp",
            **self._facts,
            **{key: remote[key] for key in taken_over if key in remote},
            "process": self._why_not() or "running",
            "pid": self._process.pid if self._process is not None else None,
            "num_starts": self._num_starts,
            "warnings": self._warnings(),
        }

    def _supervise(self) -> None:
        """Notice a death, start anew where that is due, connect to what has become ready. Hardly waits."""
        if self._process is None and not self._is_closed and self._breaker.allows():
            try:
                self._process = self._launch()
                self._num_starts += 1
            except ModelError as error:
                self._breaker.failed(str(error))
        if self._process is None:
            return
        try:
            address = self._process.address()
        except ModelError as error:
            _log.warning("%s", error)
            self._breaker.failed(str(error))
            self._drop()
            if self._breaker.allows():
                self._supervise()
            return
        if address is not None and self._remote is None:
            self._adopt(self._process, address, _SHORT_PROBE_SECONDS)

    def _adopt(self, process: LlamaProcess, address: str, wait_seconds: float) -> None:
        self._remote = RemoteEngine(self._connect(process, address))
        self._remote.connection.look(wait_seconds)

    def _drop(self) -> None:
        if self._remote is not None:
            self._remote.close()
            self._remote = None
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _why_not(self) -> str:
        if self._remote is not None:
            agreed = self._remote.connection.agreed
            return "" if agreed is not None else self._remote.connection.why_not()
        if self._process is not None:
            after = f" again: {self._breaker.last_failure}" if self._breaker.last_failure else ""
            return f"llama.cpp's server is starting{after}"
        return self._breaker.describe() or "llama.cpp's server was ended"

    def _warnings(self) -> list[str]:
        stated = self._facts.get("warnings")
        own = [str(each) for each in stated] if isinstance(stated, list | tuple) else []
        return own + (self._remote.connection.warnings() if self._remote is not None else [])
