"""Mistral's ``/v1/fim/completions``: prefix and suffix as text, laid out by the server; answers in chat shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from completion_server.remote.dialect import Piece, Question, openai_pieces
from completion_server.remote.frames import Event, FrameParser, SseParser
from completion_server.remote.prompt import PromptShape


class MistralFim:
    """``POST /v1/fim/completions``. The only dialect with a field named ``suffix``: it is this API's own."""

    name = "mistral-fim"
    path = "/v1/fim/completions"
    shape = PromptShape(is_parts=True)
    has_alternatives = False
    needs_model = True

    def body(self, question: Question) -> dict[str, object]:
        sampling = question.sampling
        body: dict[str, object] = {
            "model": question.model,
            "prompt": question.prompt.prefix,
            "suffix": question.prompt.suffix,
            "max_tokens": question.max_tokens,
            "temperature": sampling.temperature,
            "stream": True,
        }
        if sampling.temperature > 0:
            body["top_p"] = sampling.top_p
            if sampling.seed is not None:
                body["random_seed"] = sampling.seed
        return body

    def new_parser(self) -> FrameParser:
        return SseParser()

    def pieces(self, event: Event) -> list[Piece]:
        return openai_pieces(event, _text_of)


def _text_of(choice: Mapping[str, Any]) -> object:
    for key in ("delta", "message"):
        part = choice.get(key)
        if isinstance(part, Mapping):
            return part.get("content")
    return None
