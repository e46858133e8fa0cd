"""OpenAI's ``/v1/completions`` with the raw fill-in-the-middle prompt as text.

The field ``suffix`` is never sent: of four servers tried, one rejects it, one ignores it, one puts wrong tokens
in, one pastes it onto the output. Servers parse the prompt for control tokens, so text that spells one is
left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from completion_server.remote.dialect import Piece, Question, openai_pieces
from completion_server.remote.frames import Event, FrameParser, SseParser
from completion_server.remote.prompt import PromptShape

_MAX_STOPS = 4  # OpenAI's limit, which others copied


class OpenAiText:
    """``POST /v1/completions``, prompt as a string."""

    name = "openai-text"
    path = "/v1/completions"
    shape = PromptShape()
    has_alternatives = True
    needs_model = True

    def body(self, question: Question) -> dict[str, object]:
        body: dict[str, object] = {"prompt": question.prompt.text} | openai_options(question)
        if stops := question.prompt.stop_texts[:_MAX_STOPS]:
            body["stop"] = list(stops)
        return body

    def new_parser(self) -> FrameParser:
        return SseParser()

    def pieces(self, event: Event) -> list[Piece]:
        return openai_pieces(event, _text_of)


def openai_options(question: Question) -> dict[str, object]:
    """Only what every server of this API takes; unknown keys are errors for some."""
    sampling = question.sampling
    options: dict[str, object] = {
        "model": question.model,
        "max_tokens": question.max_tokens,
        "temperature": sampling.temperature,
        "stream": True,
    }
    if sampling.temperature > 0:
        options["top_p"] = sampling.top_p
        if sampling.seed is not None:
            options["seed"] = sampling.seed
    if question.repeats_freely:
        options["repeat_penalty"] = 1.0
    if question.num_alternatives > 1:
        options["n"] = question.num_alternatives
    return options


def _text_of(choice: Mapping[str, Any]) -> object:
    return choice.get("text")
