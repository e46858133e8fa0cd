"""One alternative of a streamed answer: its text so far, where it ends, and whether it may be shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from completion_server.engine.stopping import StopAt, StopRule, find_stop
from completion_server.engine.writing import Generation
from completion_server.request import FinishReason

_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class ControlText:
    """The answer spells a control token: what comes after it is no code. Servers may leave it in the text."""

    spellings: tuple[str, ...]
    name: str = "stop_token"

    def find_cut(self, text: str) -> int | None:
        return min((at for each in self.spellings if (at := text.find(each)) >= 0), default=None)


@dataclass(frozen=True)
class BrokenCharacter:
    """Servers that decode token by token put U+FFFD for half a character; the text is spoilt from there on."""

    name: str = "broken_character"

    def find_cut(self, text: str) -> int | None:
        at = text.find(_REPLACEMENT)
        return None if at < 0 else at


class Answer:
    """Grows by ``add`` until ``is_over``."""

    def __init__(
        self,
        start: str,
        stop_rules: Sequence[StopRule],
        stop_texts: tuple[str, ...],
        stop_token_ids: frozenset[int] = frozenset(),
    ) -> None:
        """``start``: what the answer has to spell before anything new; it is not part of the text.

        ``stop_token_ids`` end it like ``stop_texts``, on servers that show no text for them and go on.
        """
        self._start = start
        self._stop_token_ids = stop_token_ids
        self._rules = (*stop_rules, ControlText(stop_texts), BrokenCharacter())
        self._raw = ""
        self._stop: StopAt | None = None
        self._finish_reason: FinishReason | None = None
        self._was_ended_here = False
        self.num_pieces = 0

    @property
    def is_over(self) -> bool:
        return self._finish_reason is not None

    @property
    def was_ended_by_server(self) -> bool:
        """Whether nothing more would come."""
        return self.is_over and self._stop is None and not self.strays and not self._was_ended_here

    @property
    def strays(self) -> bool:
        """Whether the answer does not begin with what was cut off the prompt."""
        length = min(len(self._start), len(self._raw))
        return self._raw[:length] != self._start[:length]

    @property
    def text(self) -> str:
        """What is new, without halves of characters."""
        raw = self._raw
        if _SURROGATE.search(raw):  # a pair may come in two events
            raw = raw.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
        return raw[len(self._start) :]

    def add(self, text: str, finish_reason: FinishReason | None, token_ids: tuple[int, ...] = ()) -> None:
        """Take one piece; nothing once the answer is over."""
        if self.is_over:
            return
        self._raw += text
        self.num_pieces += bool(text)
        if text:
            self._stop = find_stop(self._rules, self.text)
        self._finish_reason = FinishReason.STOP if self._stop is not None or self.strays else finish_reason
        if not self.is_over and not self._stop_token_ids.isdisjoint(token_ids):
            self._finish_reason, self._was_ended_here = FinishReason.STOP, True

    def generation(self, otherwise: FinishReason) -> Generation | None:
        """What came of it; ``otherwise`` is why an answer that is not over goes no further."""
        has_something = self.is_over or bool(self._raw)
        if not has_something or self.strays or len(self._raw) < len(self._start):
            return None
        text = self.text
        if self._stop is not None:
            text = text[: self._stop.num_kept_chars]
        reason = self._finish_reason or otherwise
        return Generation(text, (), (), reason, "" if self._stop is None else self._stop.rule)
