"""Ollama's ``/api/generate`` in raw mode: the prompt is laid out here, the model's template is not applied.

Text only, and parsed for control tokens. The answer is newline-delimited JSON.
"""

from __future__ import annotations

from completion_server.remote.dialect import Piece, Question, finish_reason
from completion_server.remote.frames import Event, FrameParser, NdjsonParser
from completion_server.remote.prompt import PromptShape


class Ollama:
    """``POST /api/generate`` with ``raw``."""

    name = "ollama"
    path = "/api/generate"
    shape = PromptShape()
    has_alternatives = False
    needs_model = True

    def body(self, question: Question) -> dict[str, object]:
        sampling = question.sampling
        options: dict[str, object] = {
            "num_predict": question.max_tokens,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "repeat_penalty": 1.0,  # its default has been 1.1, and code is full of repetition
            "stop": list(question.prompt.stop_texts),
        }
        if sampling.seed is not None:
            options["seed"] = sampling.seed
        return {
            "model": question.model,
            "prompt": question.prompt.text,
            "raw": True,
            "stream": True,
            "options": options,
        }

    def new_parser(self) -> FrameParser:
        return NdjsonParser()

    def pieces(self, event: Event) -> list[Piece]:
        text = event.get("response")
        is_last = event.get("done") is True
        reason = finish_reason(event.get("done_reason") or "stop") if is_last else None
        return [Piece(text if isinstance(text, str) else "", 0, reason)]
