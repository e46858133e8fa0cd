"""Whether the server can be asked, and how: the probe's outcome, the circuit breaker, and what users are told.

Everything here belongs to the model thread; a probe runs on the transport's and leaves its outcome in a future.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

from completion_server.config import RemoteSettings
from completion_server.errors import CompletionServerError, RemoteError
from completion_server.prompt.fim import FimDetection, choose_order, detect_fim_format, fim_token_ids
from completion_server.remote.address import ServerAddress
from completion_server.remote.breaker import CircuitBreaker
from completion_server.remote.dialect import Dialect
from completion_server.remote.dialects import DIALECTS
from completion_server.remote.families import format_by_name
from completion_server.remote.probe import ServerFacts, probe
from completion_server.remote.prompt import PromptPlan
from completion_server.remote.special_text import format_spellings
from completion_server.remote.transport import Exchange, HttpStatusError, Transport
from completion_server.tokenizer import Tokenizer

_OWN_FAULTS = frozenset({400, 413, 422})  # of one request; the server is well


@dataclasses.dataclass(frozen=True)
class Agreed:
    """How this server is asked from now on."""

    facts: ServerFacts
    dialect: Dialect
    plan: PromptPlan
    warning: str | None


class Connection:
    """One server."""

    def __init__(
        self,
        address: ServerAddress,
        settings: RemoteSettings,
        transport: Transport,
        tokenizer: Tokenizer | None = None,
        *,
        prompt_order: str = "auto",
        breaker: CircuitBreaker | None = None,
    ) -> None:
        self.address = address
        self._settings = settings
        self._transport = transport
        self._tokenizer = tokenizer
        self._prompt_order = prompt_order
        self._breaker = breaker or CircuitBreaker()
        self._probing: Future[ServerFacts] | None = None
        self._agreed: Agreed | None = None

    @property
    def agreed(self) -> Agreed | None:
        return self._agreed

    def current_plan(self) -> PromptPlan | None:
        return None if self._agreed is None else self._agreed.plan

    def look(self, wait_seconds: float = 0.0) -> None:
        """Take over a probe that has ended; start one where one is needed and allowed. Waits only as told."""
        if self._agreed is None and self._probing is None and self._breaker.allows():
            self._probing = self._start_probe()
        if self._probing is None:
            return
        try:
            facts = self._probing.result(wait_seconds)
            self._agreed = self._agree(facts)
            self._breaker.succeeded()
        except FutureTimeoutError:
            return
        except CompletionServerError as error:
            self._breaker.failed(str(error))
        self._probing = None

    def post(self, path: str, body: dict[str, object]) -> Exchange:
        return self._transport.post(path, body)

    def answered(self) -> None:
        """A request was answered well."""
        self._breaker.succeeded()

    def failed(self, error: RemoteError) -> None:
        """A request failed. After some of them the server has to be looked at anew: it may be another."""
        if isinstance(error, HttpStatusError) and error.status in _OWN_FAULTS:
            return
        self._breaker.failed(str(error))
        if self._breaker.is_open:
            self._agreed = None

    def close(self) -> None:
        self._transport.close()

    def why_not(self) -> str:
        """Why the server cannot be asked just now."""
        return self._breaker.describe() or f"connecting to {self.address.base}"

    def warnings(self) -> list[str]:
        """What a user should know, said once."""
        warnings = []
        if self.address.is_exposed:
            warnings.append(f"{self.address.base} is not encrypted: your text crosses the network in the clear")
        if self._agreed is not None and self._agreed.warning:
            warnings.append(self._agreed.warning)
        if self._agreed is None and self._breaker.last_failure:
            reason = self._breaker.last_failure
            warnings.append(f"{self.address.base}: {reason}; completions begin when it is there")
        return warnings

    def status(self) -> dict[str, object]:
        """Never the key."""
        status: dict[str, object] = {
            "url": self.address.base,
            "connection": self._breaker.describe() or ("connected" if self._agreed else "connecting"),
            "breaker": "open" if self._breaker.is_open else "closed",
        }
        if self._agreed is None:
            return status
        facts, plan = self._agreed.facts, self._agreed.plan
        is_server_side = plan.shape.is_parts
        return status | {
            "model": facts.model or facts.model_hint,
            "server": facts.server,
            "dialect": facts.dialect,
            "dialect_notes": list(facts.notes),
            "fim_format": "the server's own" if is_server_side else plan.format.name,
            "prompt_order": "the server's own" if is_server_side else plan.order.value,
            "max_context": plan.max_context,
        }

    def _start_probe(self) -> Future[ServerFacts]:
        outcome: Future[ServerFacts] = Future()

        async def run() -> None:
            try:
                found = await probe(
                    self._transport, self._settings, self.address.host, self._tokenizer is not None
                )
                outcome.set_result(found)
            except RemoteError as error:
                outcome.set_exception(error)
            except BaseException as error:
                outcome.set_exception(RemoteError(f"the server gave an answer of no known kind: {error!r}"))
                raise

        self._transport.start(run())
        return outcome

    def _agree(self, facts: ServerFacts) -> Agreed:
        dialect = DIALECTS[facts.dialect]
        detection = self._detect_format(facts)
        order = choose_order(detection.format, self._prompt_order)
        is_tokens = dialect.shape.is_tokens and self._tokenizer is not None
        plan = PromptPlan(
            dataclasses.replace(dialect.shape, is_tokens=is_tokens),
            detection.format,
            order,
            fim_token_ids(detection.format, self._tokenizer) if is_tokens and self._tokenizer else None,
            tuple(format_spellings(detection.format)) or ("<|endoftext|>",),
            facts.max_context,
        )
        return Agreed(facts, dialect, plan, None if dialect.shape.is_parts else detection.warning)

    def _detect_format(self, facts: ServerFacts) -> FimDetection:
        if self._tokenizer is not None:
            return detect_fim_format(self._tokenizer, self._settings.fim_format)
        return format_by_name(facts.model_hint, self._settings.fim_format)
