"""What one API for completions is asked and answers; each dialect is a file in ``remote.dialects``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from completion_server.model import SamplingParams
from completion_server.remote.frames import Event, FrameParser
from completion_server.remote.prompt import PromptShape, RemotePrompt
from completion_server.request import FinishReason

_CUT_SHORT = ("length", "limit", "max_tokens", "model_length")
_MAX_START_TOKENS = 16  # no healed start is longer in tokens


@dataclass(frozen=True)
class Question:
    """One request, as every dialect can express it in its own way."""

    prompt: RemotePrompt
    sampling: SamplingParams
    model: str
    num_alternatives: int = 1
    repeats_freely: bool = False
    """Whether the server has to be told not to penalize repetition, which code is full of."""

    @property
    def max_tokens(self) -> int:
        """New tokens, and those that spell again what was cut off the prompt."""
        num_start_tokens = min(len(self.prompt.start.encode("utf-8", "replace")), _MAX_START_TOKENS)
        return self.sampling.max_new_tokens + num_start_tokens


@dataclass(frozen=True)
class Piece:
    """Text that one event adds to the alternative ``index``; ``finish_reason`` where it is the last."""

    text: str
    index: int = 0
    finish_reason: FinishReason | None = None
    prompt_read: tuple[int, int] | None = None
    """Of an event about the prompt: how many of its tokens the server had kept, and how many it has computed."""
    token_ids: tuple[int, ...] = ()
    """What ``text`` was decoded from, where the server says so; control tokens decode to nothing."""


class Dialect(Protocol):
    """How one API is spoken. Stateless."""

    name: str
    path: str
    shape: PromptShape
    has_alternatives: bool
    """Whether one request may ask for several answers."""
    needs_model: bool
    """Whether requests must name the model."""

    def body(self, question: Question) -> dict[str, object]:
        """The request's JSON; always a stream, never with the field ``suffix`` of OpenAI's API."""
        ...

    def new_parser(self) -> FrameParser: ...

    def pieces(self, event: Event) -> list[Piece]: ...


def gbnf_start(start: str) -> str:
    """A grammar for llama.cpp: the answer spells ``start``, then anything."""
    spelled = "".join(_GBNF_ESCAPES.get(char, char) if char >= " " else _gbnf_code(char) for char in start)
    return f'root ::= "{spelled}" .*'


_GBNF_ESCAPES = {'"': '\\"', "\\": "\\\\"}


def _gbnf_code(char: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char, f"\\x{ord(char):02X}")


def openai_pieces(event: Event, text_of: Any) -> list[Piece]:
    """The pieces of an event with OpenAI's ``choices``; there may be none, and most keys may be missing."""
    pieces = []
    choices = event.get("choices")
    for choice in choices if isinstance(choices, Sequence) and not isinstance(choices, str) else ():
        if not isinstance(choice, Mapping):
            continue
        text, index = text_of(choice), choice.get("index")
        pieces.append(
            Piece(
                text if isinstance(text, str) else "",
                index if isinstance(index, int) else 0,
                finish_reason(choice.get("finish_reason")),
            )
        )
    return pieces


def finish_reason(stated: object) -> FinishReason | None:
    """A server's word for why it stopped; None where it did not."""
    if not isinstance(stated, str) or not stated:
        return None
    return FinishReason.LENGTH if stated in _CUT_SHORT else FinishReason.STOP
