"""One generation as it grows, token by token: its text, where it stops and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from completion_server.engine.sampling import SampledToken
from completion_server.engine.stopping import StopAt, StopRule, find_stop
from completion_server.request import FinishReason


class Detokenizer(Protocol):
    """Token ids to text as they come; never half a character."""

    @property
    def text(self) -> str: ...

    def add_token(self, token_id: int) -> object: ...


@dataclass(frozen=True)
class Generation:
    """Raw engine output for one alternative."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    stop_rule: str = ""
    token_ends: tuple[int, ...] = ()
    """Characters of ``text`` (before a stop rule cut it) that are there after each token."""
    num_healed_bytes: int = 0
    """Bytes before the cursor that the first tokens spell again."""


class Writing:
    """A generation in progress."""

    def __init__(
        self,
        detokenizer: Detokenizer,
        stop_rules: Sequence[StopRule],
        stop_token_ids: frozenset[int],
        num_healed_bytes: int = 0,
    ) -> None:
        self._num_healed_bytes = num_healed_bytes
        self._token_ends: list[int] = []
        self._detokenizer = detokenizer
        self._stop_rules = stop_rules
        self._stop_token_ids = stop_token_ids
        self._token_ids: list[int] = []
        self._logprobs: list[float] = []
        self._stop: StopAt | None = None
        self.reason = FinishReason.LENGTH
        """Why it is over; as long as nothing else is said, because there is no room for more tokens."""

    def add(self, token: SampledToken) -> bool:
        """Take ``token`` in; whether the generation is over now. A stop token is not part of it."""
        if token.token_id in self._stop_token_ids:
            self._stop = StopAt("stop_token", len(self._detokenizer.text))
        else:
            self._token_ids.append(token.token_id)
            self._logprobs.append(token.logprob)
            self._detokenizer.add_token(token.token_id)
            self._token_ends.append(len(self._detokenizer.text))
            self._stop = find_stop(self._stop_rules, self._detokenizer.text)
        if self._stop is not None:
            self.reason = FinishReason.STOP
        return self._stop is not None

    def finish(self) -> Generation:
        text, stop = self._detokenizer.text, self._stop
        return Generation(
            text if stop is None else text[: stop.num_kept_chars],
            tuple(self._token_ids),
            tuple(self._logprobs),
            self.reason,
            "" if stop is None else stop.rule,
            tuple(self._token_ends),
            self._num_healed_bytes,
        )
