"""What a completion server looks like to the replay, so that this one and its peers are driven alike."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Protocol

from completion_server.document import Document, Position

MAX_PREFIX_TOKENS = 768
MAX_SUFFIX_TOKENS = 256
MAX_NEW_TOKENS = 16


@dataclass(frozen=True)
class PromptLimits:
    """What every side gets to see and may write, so that times are comparable."""

    max_prefix_tokens: int = MAX_PREFIX_TOKENS
    max_suffix_tokens: int = MAX_SUFFIX_TOKENS
    max_new_tokens: int = MAX_NEW_TOKENS


@dataclass
class Usage:
    """What one request has cost so far; filled in while it runs, so a cancelled request has one too."""

    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    num_prefilled_tokens: int = 0
    num_generated_tokens: int = 0
    num_passes: int = 0
    """Forward passes that made new tokens."""
    is_known: bool = False
    """Whether the server told; zeros otherwise mean nothing."""
    is_remembered: bool = False
    """Answered without the model, from an earlier suggestion."""
    first_text_ms: float | None = None
    """Until the first part of a streamed answer."""
    finish_reason: str = ""


@dataclass(frozen=True)
class Answer:
    """The suggestion (empty: none) and when it was there, by the replay's clock."""

    text: str
    received_at: float
    preparation_s: float = 0.0
    """The adapter's own work before it could ask; not the peer's, so it is taken off."""


@dataclass(frozen=True)
class Totals:
    """Counters of everything a server has computed, also for requests that were given up."""

    num_passes: int
    num_prefilled_tokens: int
    num_generated_tokens: int

    def since(self, before: Totals) -> Totals:
        """What was added after ``before``."""
        return Totals(
            self.num_passes - before.num_passes,
            self.num_prefilled_tokens - before.num_prefilled_tokens,
            self.num_generated_tokens - before.num_generated_tokens,
        )


@dataclass(frozen=True)
class RequestCounts:
    """Requests to a model server and how they ended, as ``remote.engine.Totals`` counts them."""

    num_calls: int = 0
    num_refused: int = 0
    """Not sent: no connection, or nothing that may be sent."""
    num_failed: int = 0
    num_cancelled: int = 0
    num_past_deadline: int = 0
    num_pieces: int = 0
    """Parts of streamed answers; servers send one per token."""

    def since(self, before: RequestCounts) -> RequestCounts:
        """What was added after ``before``."""
        return RequestCounts(*(now - then for now, then in zip(astuple(self), astuple(before), strict=True)))

    def __add__(self, other: RequestCounts) -> RequestCounts:
        return RequestCounts(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))


class Peer(Protocol):
    """A running completion server with room for one document."""

    @property
    def name(self) -> str: ...

    @property
    def pid(self) -> int:
        """The process whose tree does the work."""
        ...

    async def open(self, document: Document) -> None:
        """A new document, in place of the one before."""
        ...

    def change(self, start: Position, end: Position, text: str) -> None:
        """Tell of an edit, without waiting."""
        ...

    async def ask(self, document: Document, position: Position, usage: Usage) -> Answer:
        """The automatic suggestion at ``position``. Cancelling the task gives the request up on the server."""
        ...

    async def explain(self, usage: Usage) -> None:
        """Fill in what only a further question tells about the request just answered; not timed."""
        ...

    async def totals(self) -> Totals | None:
        """None where the server does not count."""
        ...

    async def is_idle(self) -> bool:
        """Whether nothing is being computed for requests."""
        ...
