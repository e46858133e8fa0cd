"""What other tools ask over HTTP and what they are told, in the shapes of OpenAI's and llama.cpp's servers.

OpenAI's legacy ``/v1/completions`` (API reference, "Completions") and ``/infill`` of llama.cpp's server
(tools/server/README.md). Unknown fields are ignored, as those servers do.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from completion_server.engine.engine import GenerationResult
from completion_server.engine.writing import Generation
from completion_server.errors import RequestError
from completion_server.request import FinishReason

MAX_BODY_BYTES = 1 << 20

Count = Annotated[int, Meta(ge=0, le=65_536)]
StopText = Annotated[str, Meta(max_length=256)]
Stop = StopText | Annotated[list[StopText], Meta(max_length=16)] | None
Seed = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class RefusedError(RequestError):
    """A request that is answered with ``status``."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def too_long(what: str) -> RefusedError:
    """Content that is too long to be looked at."""
    return RefusedError(what, 413)


class SamplingFields(Struct, kw_only=True):
    """What both protocols share. ``temperature`` 0 is the default here, as for suggestions in an editor."""

    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.0
    top_k: Count = 0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    seed: Seed | None = None
    stop: Stop = None
    stream: bool = False


class CompletionBody(SamplingFields, kw_only=True):
    """``POST /v1/completions``. ``prompt`` is text, a list of one text, or token ids."""

    prompt: str | list[str | int]
    suffix: str | None = None
    max_tokens: Count | None = 16
    n: Annotated[int, Meta(ge=1, le=8)] = 1
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    echo: bool = False
    stream_options: dict[str, Any] | None = None


class ExtraFile(Struct, kw_only=True):
    """A piece of another file."""

    text: str
    filename: str = ""


class InfillBody(SamplingFields, kw_only=True):
    """``POST /infill``. ``prompt`` is the beginning of the middle; ``n_predict`` -1 means as much as fits."""

    input_prefix: str
    input_suffix: str
    input_extra: list[ExtraFile] = []
    prompt: str = ""
    n_predict: Annotated[int, Meta(ge=-1, le=65_536)] = 128
    t_max_predict_ms: Annotated[float, Meta(ge=0, le=86_400_000)] = 0.0


Body = TypeVar("Body", CompletionBody, InfillBody)


def decode_completion(body: bytes) -> CompletionBody:
    """Raises RequestError with what is wrong."""
    asked = _decode(body, CompletionBody)
    asked.prompt = _prompt(asked.prompt)
    if asked.echo:
        raise RequestError("echo is not supported")
    if asked.stream and asked.n > 1:
        raise RequestError("a stream has one choice: n must be 1")
    return asked


def decode_infill(body: bytes) -> InfillBody:
    """Raises RequestError with what is wrong."""
    return _decode(body, InfillBody)


def _decode(body: bytes, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(str(error)) from error
    except RecursionError:
        raise RequestError("the body is nested too deeply") from None


def stop_texts(stop: Stop) -> tuple[str, ...]:
    texts = [stop] if isinstance(stop, str) else stop or []
    return tuple(text for text in texts if text)


def error_body(status: int, message: str) -> dict[str, Any]:
    """OpenAI's shape, which llama.cpp shares."""
    kind = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 500: "server_error"}
    kind[503] = "unavailable_error"
    return {"error": {"code": status, "message": message, "type": kind.get(status, "invalid_request_error")}}


class CompletionReply:
    """Bodies of one answer of ``/v1/completions``."""

    def __init__(self, model: str) -> None:
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(datetime.now(timezone.utc).timestamp()),
            "model": model,
        }

    def whole(self, result: GenerationResult, spell: Spell | None) -> dict[str, Any]:
        """``spell`` tells the text of a token id; None: without log-probabilities."""
        choices = [
            _choice(index, generation.text, _openai_reason(generation.finish_reason), _logprobs(generation, spell))
            for index, generation in enumerate(result.generations)
        ]
        return {**self._head, "choices": choices, "usage": _usage(result)}

    def piece(self, text: str) -> dict[str, Any]:
        return {**self._head, "choices": [_choice(0, text, None, None)]}

    def last(self, result: GenerationResult, *, with_usage: bool) -> list[dict[str, Any]]:
        end = {**self._head, "choices": [_choice(0, "", _openai_reason(result.finish_reason), None)]}
        return [end, {**self._head, "choices": [], "usage": _usage(result)}] if with_usage else [end]


class InfillReply:
    """Bodies of one answer of ``/infill``."""

    def __init__(self, model: str) -> None:
        self._model = model

    def whole(self, result: GenerationResult, text: str) -> dict[str, Any]:
        stats = result.stats
        rule = result.generations[0].stop_rule if result.generations else ""
        stop_type = "word" if rule == "text_reached" else "eos" if rule else "limit"
        return {
            "content": text,
            "stop": True,
            "stop_type": stop_type,
            "model": self._model,
            "tokens_predicted": stats.num_generated_tokens,
            "tokens_evaluated": stats.num_prompt_tokens,
            "tokens_cached": stats.num_cached_tokens,
        }

    def piece(self, text: str) -> dict[str, Any]:
        return {"content": text, "stop": False}


class Spell:
    """Text of token ids, for log-probabilities."""

    def __init__(self, token_bytes: Any) -> None:
        self._token_bytes = token_bytes

    def __call__(self, token_id: int) -> str:
        return bytes(self._token_bytes(token_id)).decode("utf-8", "replace")


def _prompt(prompt: str | list[str | int]) -> str | list[str | int]:
    """A list of one text as that text. Raises RequestError for several, and for a mixture."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1 and isinstance(prompt[0], str):
        return prompt[0]
    if not prompt or any(isinstance(each, str) for each in prompt):
        raise RequestError("prompt must be one text or a list of token ids")
    return prompt


def _choice(index: int, text: str, reason: str | None, logprobs: dict[str, Any] | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}


def _openai_reason(reason: FinishReason) -> str:
    return "stop" if reason is FinishReason.STOP else "length"


def _logprobs(generation: Generation, spell: Spell | None) -> dict[str, Any] | None:
    """The legacy shape, without alternatives: the engine keeps the chosen tokens only."""
    if spell is None:
        return None
    tokens = [spell(token_id) for token_id in generation.token_ids]
    return {
        "tokens": tokens,
        "token_logprobs": list(generation.logprobs),
        "top_logprobs": None,
        "text_offset": _offsets(tokens),
    }


def _offsets(tokens: Sequence[str]) -> list[int]:
    offsets, length = [], 0
    for token in tokens:
        offsets.append(length)
        length += len(token)
    return offsets


def _usage(result: GenerationResult) -> dict[str, int]:
    num_prompt, num_generated = result.stats.num_prompt_tokens, result.stats.num_generated_tokens
    return {
        "prompt_tokens": num_prompt,
        "completion_tokens": num_generated,
        "total_tokens": num_prompt + num_generated,
    }
