"""llama.cpp's ``/completion`` with the prompt as token ids: the exact prompt of the local engine.

Without a tokenizer the prompt is text, which the server parses for control tokens.

Pure ids are the one form in which nothing is parsed for control tokens, and the server's prefix cache holds for
any common head of two prompts.
"""

from __future__ import annotations

from completion_server.remote.dialect import Piece, Question
from completion_server.remote.dialects.llama_infill import llama_options, llama_pieces
from completion_server.remote.frames import Event, FrameParser, SseParser
from completion_server.remote.prompt import PromptShape


class LlamaCompletion:
    """``POST /completion``."""

    name = "llama-completion"
    path = "/completion"
    shape = PromptShape(is_tokens=True, may_be_text=True, can_force_start=True)
    has_alternatives = False
    needs_model = False

    def body(self, question: Question) -> dict[str, object]:
        prompt = question.prompt
        sent: dict[str, object] = {"prompt": list(prompt.token_ids) or prompt.text}
        if prompt.text and prompt.stop_texts:
            sent["stop"] = list(prompt.stop_texts)
        return sent | llama_options(question)

    def new_parser(self) -> FrameParser:
        return SseParser()

    def pieces(self, event: Event) -> list[Piece]:
        return llama_pieces(event)
