"""llama.cpp's ``/infill``: the server knows the model's fill-in-the-middle tokens and lays the prompt out itself.

The text fields are never parsed for control tokens (llama.cpp PR 9798), so text goes as it is. The field
``prompt`` is: it stays empty. The server keeps the last 3/4 n_batch tokens of the prefix and n_batch/4 of the
suffix without a word, so a budget above that is wasted.
"""

from __future__ import annotations

from collections.abc import Mapping

from completion_server.remote.dialect import Piece, Question, finish_reason, gbnf_start
from completion_server.remote.frames import Event, FrameParser, SseParser
from completion_server.remote.prompt import PromptShape


class LlamaInfill:
    """``POST /infill``."""

    name = "llama-infill"
    path = "/infill"
    shape = PromptShape(is_parts=True, can_force_start=True)
    has_alternatives = False
    needs_model = False

    def body(self, question: Question) -> dict[str, object]:
        prompt = question.prompt
        parts: dict[str, object] = {"input_prefix": prompt.prefix, "input_suffix": prompt.suffix, "prompt": ""}
        return parts | llama_options(question)

    def new_parser(self) -> FrameParser:
        return SseParser()

    def pieces(self, event: Event) -> list[Piece]:
        return llama_pieces(event)


def llama_options(question: Question) -> dict[str, object]:
    """Sampling as in this project: nothing but temperature, top-k and top-p, whatever the server's defaults."""
    sampling = question.sampling
    options: dict[str, object] = {
        "n_predict": question.max_tokens,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "samplers": ["top_k", "top_p", "temperature"],
        "stream": True,
        "cache_prompt": True,
        # An answer that has begun is given up at once when we hang up; one that has not, at the next whole second.
        "return_progress": True,
    }
    if sampling.seed is not None:
        options["seed"] = sampling.seed
    if question.model:
        options["model"] = question.model
    if question.prompt.start:
        options["grammar"] = gbnf_start(question.prompt.start)
    return options


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def llama_pieces(event: Event) -> list[Piece]:
    """One piece per event, those about the prompt first; the last has ``stop``, without a ``[DONE]`` after it."""
    text = event.get("content")
    is_last = event.get("stop") is True
    progress = event.get("prompt_progress")
    if not text and not is_last and isinstance(progress, Mapping):
        num_kept, num_done = (_count(progress.get(key)) for key in ("cache", "processed"))
        return [Piece("", prompt_read=(num_kept, max(num_done - num_kept, 0)))]
    reason = finish_reason(event.get("stop_type") or "stop") if is_last else None
    tokens = event.get("tokens")
    token_ids = tuple(each for each in tokens if isinstance(each, int)) if isinstance(tokens, list) else ()
    return [Piece(text if isinstance(text, str) else "", 0, reason, token_ids=token_ids)]
