"""What a window and the shared engine say to each other: one MessagePack map per frame, its length before it.

Prompts, sampling, stop rules and results cross as the dataclasses that they are in one process, so that nothing
is lost on the way. Only what healing allows is left out, thousands of token ids for each step: the engine has the
same tokenizer and looks them up again.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from completion_server.engine import stopping
from completion_server.engine.engine import GenerationResult
from completion_server.engine.stopping import StopRule
from completion_server.errors import RequestError
from completion_server.model import Prompt, SamplingParams

WIRE_VERSION = 1
"""Part of the engine's address: programs that speak differently never meet."""

HEADER_BYTES = 4
MAX_FRAME_BYTES = 16 << 20

T = TypeVar("T")

WireRule = tuple[str, dict[str, Any]]
"""A stop rule: the name of its class in ``engine.stopping``, and its fields."""


class EngineState(Struct, frozen=True):
    """What a window knows of the engine without asking; comes with every answer.

    ``tokens_per_ms``: how many tokens of a prompt are fed in one millisecond. ``cpu_seconds``: processor time that
    the work for this window has taken so far.
    """

    tokens_per_ms: float
    status: dict[str, Any]
    cpu_seconds: float = 0.0


# From the window


class Hello(Struct, frozen=True, tag=True):
    """The first message. ``token`` is that of the engine's file, which only its user can read."""

    token: str
    prefix_cache_mb: int
    prefill_chunk_ms: int
    is_visitor: bool = False
    """Whether this only wants to look or to stop: it does not keep the engine from leaving."""


class Generate(Struct, frozen=True, tag=True):
    """``TextEngine.generate``. ``remaining_ms`` None: without a deadline, so idle work."""

    call: int
    prompt: Prompt
    sampling: SamplingParams
    rules: list[WireRule]
    remaining_ms: float | None
    num_alternatives: int


class Prefill(Struct, frozen=True, tag=True):
    """``TextEngine.prefill``."""

    call: int
    prompt: Prompt
    remaining_ms: float | None


class NumMissing(Struct, frozen=True, tag=True):
    """``TextEngine.num_missing_tokens``; ``token_ids`` with those of the healing path."""

    call: int
    token_ids: tuple[int, ...]


class Cancel(Struct, frozen=True, tag=True):
    """The answer to ``call`` is no longer wanted."""

    call: int


class Clear(Struct, frozen=True, tag=True):
    """``TextEngine.clear``, for all windows."""

    call: int


class Apply(Struct, frozen=True, tag=True):
    """``TextEngine.apply_settings``: the settings of this window that concern the engine."""

    prefix_cache_mb: int
    prefill_chunk_ms: int


class Look(Struct, frozen=True, tag=True):
    """Asks for the status as it is now."""

    call: int


class Stop(Struct, frozen=True, tag=True):
    """Ends the engine, for all windows."""


FromWindow = Hello | Generate | Prefill | NumMissing | Cancel | Clear | Apply | Look | Stop


# From the engine


class Loading(Struct, frozen=True, tag=True):
    """How far loading is; ``fraction`` (0 to 1) where it is known."""

    message: str
    fraction: float | None


class Ready(Struct, frozen=True, tag=True):
    """The model is loaded. ``directory`` has its tokenizer; ``facts`` describe it to users."""

    directory: str
    model_type: str
    max_context: int
    stated_fim_format: str | None
    facts: dict[str, Any]
    state: EngineState


class LoadFailed(Struct, frozen=True, tag=True):
    """The model cannot be loaded; ``kind`` is the name of a class of ``errors``."""

    kind: str
    message: str


class Generated(Struct, frozen=True, tag=True):
    """The answer to ``Generate``."""

    call: int
    result: GenerationResult
    state: EngineState


class Number(Struct, frozen=True, tag=True):
    """The answer to all that gives a number."""

    call: int
    value: int
    state: EngineState | None = None


class Refused(Struct, frozen=True, tag=True):
    """``call`` failed; ``kind`` as in ``LoadFailed``."""

    call: int
    kind: str
    message: str


class Leaving(Struct, frozen=True, tag=True):
    """The engine ends on purpose."""

    message: str


FromEngine = Loading | Ready | LoadFailed | Generated | Number | Refused | Leaving

_encoder = msgspec.msgpack.Encoder()
_from_window: msgspec.msgpack.Decoder[FromWindow] = msgspec.msgpack.Decoder(FromWindow)
_from_engine: msgspec.msgpack.Decoder[FromEngine] = msgspec.msgpack.Decoder(FromEngine)


def encode_frame(message: FromWindow | FromEngine) -> bytes:
    """``message`` with its length before it, four bytes, the highest first."""
    body = _encoder.encode(message)
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def frame_length(header: bytes) -> int:
    """Bytes of the body that follows ``header``. Raises RequestError for more than MAX_FRAME_BYTES."""
    length = int.from_bytes(header, "big")
    if length > MAX_FRAME_BYTES:
        raise RequestError(f"a message of {length} bytes is longer than the {MAX_FRAME_BYTES} that are allowed")
    return length


def decode_from_window(body: bytes) -> FromWindow:
    """Raises RequestError for what no window says."""
    return _decode(_from_window, body)


def decode_from_engine(body: bytes) -> FromEngine:
    """Raises RequestError for what no engine says."""
    return _decode(_from_engine, body)


def without_allowed(prompt: Prompt) -> Prompt:
    """``prompt`` with empty ``allowed_token_ids`` where some are allowed and not all."""

    def nothing(_remaining: bytes) -> Sequence[int]:
        return ()

    return _with_allowed(prompt, nothing)


def with_allowed(prompt: Prompt, tokens_extending: Callable[[bytes], Sequence[int]]) -> Prompt:
    """The way back: what a step allows is what extends its ``remaining`` bytes (``prompt.healing``)."""
    return _with_allowed(prompt, tokens_extending)


def pack_rules(rules: Sequence[StopRule]) -> list[WireRule]:
    """Raises RequestError for a rule that is not one of ``engine.stopping``'s dataclasses."""
    packed = []
    for rule in rules:
        name = type(rule).__name__
        if RULE_TYPES.get(name) is not type(rule):
            raise RequestError(f"the stop rule {name} cannot be sent to the shared engine")
        fields = dataclasses.fields(rule)  # type: ignore[arg-type]
        packed.append((name, {field.name: getattr(rule, field.name) for field in fields}))
    return packed


def unpack_rules(packed: Sequence[WireRule]) -> list[StopRule]:
    """Fresh rules. Raises RequestError for those that are not known here."""
    try:
        return [msgspec.convert(fields, RULE_TYPES[name]) for name, fields in packed]
    except (KeyError, msgspec.ValidationError) as error:
        raise RequestError(f"not a stop rule: {error}") from error


def _rule_types() -> dict[str, Any]:
    classes = inspect.getmembers(stopping, inspect.isclass)
    return {name: kind for name, kind in classes if dataclasses.is_dataclass(kind) and hasattr(kind, "find_cut")}


RULE_TYPES = _rule_types()
"""Every stop rule that is plain data."""


def _with_allowed(prompt: Prompt, allowed: Callable[[bytes], Sequence[int]]) -> Prompt:
    if prompt.healing is None:
        return prompt
    steps = tuple(
        step if not step.remaining else dataclasses.replace(step, allowed_token_ids=allowed(step.remaining))
        for step in prompt.healing.steps
    )
    return dataclasses.replace(prompt, healing=dataclasses.replace(prompt.healing, steps=steps))


def _decode(decoder: msgspec.msgpack.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except Exception as error:  # also what a dataclass raises on bad values
        raise RequestError(f"not a message of this protocol: {error}") from error
