"""A model server as the service's engine: one streamed request per call, within its deadline, gone when cancelled.

Lives on the model thread. What a server computes it keeps or forgets as it likes; there is no state here but the
connection's.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence

from completion_server.config import Settings
from completion_server.engine.engine import GenerationResult, GenerationStats
from completion_server.engine.stopping import StopRule
from completion_server.errors import ModelError, RemoteError
from completion_server.model import Prompt, SamplingParams
from completion_server.remote.answer import Answer
from completion_server.remote.connection import Agreed, Connection
from completion_server.remote.dialect import Piece, Question
from completion_server.remote.prompt import RemotePrompt
from completion_server.remote.transport import Exchange, HttpStatusError
from completion_server.request import CancellationToken, Deadline, FinishReason

_POLL_SECONDS = 0.005  # how late a cancel may be seen
_UNKNOWN = 1 << 20  # tokens: too far for work that nobody asked for

_log = logging.getLogger(__name__)


@dataclasses.dataclass
class RemoteStats(GenerationStats):
    """What one call cost. Tokens are counted in pieces of the stream; the prompt may be a guess."""

    remote_dialect: str = ""
    num_strayed: int = 0
    """Answers dropped because they did not begin with what was cut off the prompt."""


@dataclasses.dataclass
class EmptyStats(RemoteStats):
    """The same for an answer that is empty for a reason of its own."""

    reason: str = ""


@dataclasses.dataclass
class Totals:
    """All calls so far."""

    num_calls: int = 0
    num_refused: int = 0
    """Not sent: no connection, or nothing that may be sent."""
    num_failed: int = 0
    num_cancelled: int = 0
    num_past_deadline: int = 0
    num_pieces: int = 0


class RemoteEngine:
    """``TextEngine`` over HTTP."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._totals = Totals()
        self._has_one_alternative = False

    def generate(
        self,
        prompt: Prompt,
        sampling: SamplingParams,
        stop_rules: Sequence[StopRule],
        deadline: Deadline,
        cancellation: CancellationToken,
        num_alternatives: int = 1,
    ) -> GenerationResult:
        """Up to ``num_alternatives`` answers, cut by ``stop_rules``; what has come by the deadline is returned.

        Never raises for anything the server does: the result is empty and its stats have a ``reason``.
        """
        self._totals.num_calls += 1
        self.connection.look()
        agreed = self.connection.agreed
        if agreed is None:
            return self._refuse(self.connection.why_not())
        if not isinstance(prompt, RemotePrompt):
            raise ModelError("a prompt of the local engine cannot be sent to a server")
        if prompt.refusal or prompt.plan is not agreed.plan:
            return self._refuse(prompt.refusal or "the connection was made just now")
        if deadline.has_passed:
            self._totals.num_past_deadline += 1
            return _empty(FinishReason.DEADLINE, "there was no time left")
        # A greedy model gives the same answer every time; some servers even refuse to be asked.
        can_branch = agreed.dialect.has_alternatives and sampling.temperature > 0
        num_answers = num_alternatives if can_branch and not self._has_one_alternative else 1
        facts = agreed.facts
        question = Question(prompt, sampling, facts.model, num_answers, facts.penalizes_repetition)
        try:
            return self._ask(agreed, question, stop_rules, deadline, cancellation)
        except RemoteError as error:
            if num_answers > 1 and isinstance(error, HttpStatusError) and error.status == 400:
                self._has_one_alternative = True  # llama.cpp has no more than it has slots
                return self.generate(prompt, sampling, stop_rules, deadline, cancellation)
            self._totals.num_failed += 1
            self.connection.failed(error)
            _log.debug("a request failed: %s", error)
            return _empty(FinishReason.ERROR, str(error))

    def prefill(self, prompt: Prompt, deadline: Deadline, cancellation: CancellationToken) -> int:  # noqa: ARG002
        """Nothing: a server is not asked on suspicion."""
        return 0

    def num_missing_tokens(self, prompt: Prompt) -> int:  # noqa: ARG002
        """Looking ahead is for servers on this machine; others may count requests, and be paid for them."""
        return 0 if self.connection.address.is_loopback else _UNKNOWN

    def num_tokens_within(self, elapsed_ms: float) -> float:  # noqa: ARG002
        """No limit: what a server has in its prefix cache is not known here."""
        return float("inf")

    def clear(self) -> None:
        """Nothing is kept here."""

    def apply_settings(self, settings: Settings) -> None:
        """Nothing depends on them but the prompts."""

    def close(self) -> None:
        self.connection.close()

    def status(self) -> dict[str, object]:
        self.connection.look()
        return {
            "backend": "remote",
            **self.connection.status(),
            "warnings": self.connection.warnings(),
            "totals": dataclasses.asdict(self._totals),
        }

    def _refuse(self, reason: str) -> GenerationResult:
        self._totals.num_refused += 1
        return _empty(FinishReason.SKIPPED, reason)

    def _ask(
        self,
        agreed: Agreed,
        question: Question,
        stop_rules: Sequence[StopRule],
        deadline: Deadline,
        cancellation: CancellationToken,
    ) -> GenerationResult:
        prompt = question.prompt
        stats = RemoteStats(num_prompt_tokens=prompt.num_prompt_tokens, remote_dialect=agreed.dialect.name)
        answers = [
            Answer(prompt.start, stop_rules, prompt.stop_texts, prompt.stop_token_ids)
            for _ in range(question.num_alternatives)
        ]
        began = time.perf_counter()
        reason = FinishReason.LENGTH  # a stream that ends without saying why was cut off
        exchange = self.connection.post(agreed.dialect.path, agreed.dialect.body(question))
        try:
            for pieces in _pieces(exchange, agreed, deadline, cancellation):
                if isinstance(pieces, FinishReason):
                    reason = pieces
                    break
                _count(pieces, stats, began)
                for piece in pieces:
                    if 0 <= piece.index < len(answers):
                        answers[piece.index].add(piece.text, piece.finish_reason, piece.token_ids)
                if all(answer.is_over for answer in answers):
                    break
            if not stats.prefill_ms and reason is FinishReason.LENGTH:
                raise RemoteError("the server ended its answer before it began")
        finally:
            if all(answer.was_ended_by_server for answer in answers):
                exchange.let_end()
            else:
                exchange.close()
        if stats.prefill_ms:
            self.connection.answered()
        return self._result(answers, reason, stats)

    def _result(self, answers: Sequence[Answer], reason: FinishReason, stats: RemoteStats) -> GenerationResult:
        stats.num_generated_tokens = sum(answer.num_pieces for answer in answers)
        stats.num_strayed = sum(answer.strays for answer in answers)
        self._totals.num_pieces += stats.num_generated_tokens
        self._totals.num_cancelled += reason is FinishReason.CANCELLED
        self._totals.num_past_deadline += reason is FinishReason.DEADLINE
        found = [answer.generation(reason) for answer in answers]
        generations = tuple(generation for generation in found if generation is not None)
        if reason is FinishReason.CANCELLED:
            return GenerationResult(generations, reason, stats)
        if generations:
            return GenerationResult(generations, generations[0].finish_reason, stats)
        if stats.num_strayed:
            facts = {field.name: getattr(stats, field.name) for field in dataclasses.fields(stats)}
            explained = EmptyStats(**facts, reason="the answer did not begin with the text before the cursor")
            return GenerationResult((), FinishReason.STOP, explained)
        return GenerationResult((), reason, stats)


def _pieces(
    exchange: Exchange, agreed: Agreed, deadline: Deadline, cancellation: CancellationToken
) -> Iterator[list[Piece] | FinishReason]:
    """Pieces as they come, event by event; a FinishReason when there is no time or wish for more."""
    parser = agreed.dialect.new_parser()
    while not parser.is_done:
        if cancellation.is_cancelled:
            yield FinishReason.CANCELLED
            return
        remaining = deadline.remaining_ms / 1000
        if remaining <= 0:
            yield FinishReason.DEADLINE
            return
        data = exchange.next_bytes(min(remaining, _POLL_SECONDS))
        for event in parser.finish() if data is None else parser.feed(data):
            yield agreed.dialect.pieces(event)
        if data is None:
            return


def _count(pieces: Sequence[Piece], stats: RemoteStats, began: float) -> None:
    for piece in pieces:
        if piece.prompt_read is not None:
            stats.num_cached_tokens, stats.num_prefilled_tokens = piece.prompt_read
        elif not stats.prefill_ms:
            stats.prefill_ms = (time.perf_counter() - began) * 1000


def _empty(finish_reason: FinishReason, reason: str) -> GenerationResult:
    return GenerationResult((), finish_reason, EmptyStats(reason=reason))
