"""What server is at an address, which dialect to speak with it, and what it says about its model.

A handful of small requests, once per connection. Runs on the transport's thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from completion_server.config import RemoteSettings
from completion_server.errors import RemoteError
from completion_server.remote.address import is_in_domain
from completion_server.remote.dialects import DIALECTS
from completion_server.remote.frames import error_message
from completion_server.remote.transport import Reply, Transport

_MISTRAL_DOMAIN = "mistral.ai"
_REFUSED = (401, 403)
_LLAMA_CPP_PYTHON = "llama-cpp-python"


@dataclass(frozen=True)
class ServerFacts:
    """What was found out. ``model`` is the name that requests carry, ``model_hint`` what tells its family."""

    server: str
    dialect: str
    model: str = ""
    model_hint: str = ""
    max_context: int | None = None
    notes: tuple[str, ...] = ()
    """For the user: why this dialect."""
    penalizes_repetition: bool = False
    """Unless requests say otherwise."""


async def probe(transport: Transport, settings: RemoteSettings, host: str, has_tokenizer: bool) -> ServerFacts:
    """Ask the server what it is. Raises RemoteError with what to do when no dialect fits."""
    wanted = settings.dialect
    if wanted == "mistral-fim" or (wanted == "auto" and is_in_domain(host, _MISTRAL_DOMAIN)):
        # Nothing to ask for free: without a key every path is refused.
        model = settings.model or "codestral-latest"
        return ServerFacts("Mistral", "mistral-fim", model, model)
    for look in (_llama, _ollama, _openai, _health_only):
        facts = await look(transport, settings, has_tokenizer)
        if facts is not None:
            return _checked(facts, settings, has_tokenizer)
    raise RemoteError(
        "there is a server, but none of its known paths answers (/props, /api/version, /v1/models, /health);"
        " check remote.url"
    )


def _checked(facts: ServerFacts, settings: RemoteSettings, has_tokenizer: bool) -> ServerFacts:
    name = facts.dialect if settings.dialect == "auto" else settings.dialect
    dialect = DIALECTS[name]
    if dialect.shape.is_tokens and not (has_tokenizer or dialect.shape.may_be_text):
        raise RemoteError(f"the dialect {name} sends token ids: set remote.tokenizer to the model's tokenizer")
    model = settings.model or facts.model
    if dialect.needs_model and not model:
        raise RemoteError("the server does not list its models: set remote.model")
    hint = settings.model or facts.model_hint or model
    return replace(facts, dialect=name, model=model, model_hint=hint)


async def _llama(transport: Transport, settings: RemoteSettings, _has_tokenizer: bool) -> ServerFacts | None:
    props = await transport.fetch("GET", "/props")
    content = _object(props)
    if content is None or "default_generation_settings" not in content:
        return None
    generation = content["default_generation_settings"]
    n_ctx = generation.get("n_ctx") if isinstance(generation, Mapping) else None
    # The path of the model tells more of its family than an alias does.
    hint = " ".join(str(content.get(key) or "") for key in ("model_alias", "model_path")).strip()
    model = settings.model or await _first_model(transport)
    facts = ServerFacts("llama.cpp", "llama-infill", model, hint, n_ctx if isinstance(n_ctx, int) else None)
    if settings.dialect != "auto":
        return facts
    body: dict[str, object] = {"input_prefix": "", "input_suffix": "", "n_predict": 1}
    infill = await transport.fetch("POST", "/infill", body | ({"model": model} if model else {}))
    if infill.status == 200:
        return facts
    if infill.status in _REFUSED:
        raise RemoteError(_refused(infill))
    note = f"/infill: {error_message(infill.content) or f'HTTP {infill.status}'}"
    return ServerFacts(facts.server, "llama-completion", model, hint, facts.max_context, (note,))


async def _ollama(transport: Transport, _settings: RemoteSettings, _has_tokenizer: bool) -> ServerFacts | None:
    version = _object(await transport.fetch("GET", "/api/version"))
    if version is None or not isinstance(version.get("version"), str):
        return None
    tags = _object(await transport.fetch("GET", "/api/tags")) or {}
    return ServerFacts("Ollama", "ollama", _first_name(tags.get("models"), "name"))


async def _openai(transport: Transport, settings: RemoteSettings, has_tokenizer: bool) -> ServerFacts | None:
    models = await transport.fetch("GET", "/v1/models")
    if models.status in _REFUSED:
        raise RemoteError(_refused(models))
    content = _object(models)
    if content is None or not isinstance(content.get("data"), list):
        return None
    entry = _entry(content["data"], settings.model)
    owner = str(entry.get("owned_by") or "")
    max_context = entry.get("max_model_len")
    takes_ids = owner in ("vllm", "sglang")
    is_llama_cpp_python = owner == "me" and "permissions" in entry
    return ServerFacts(
        _LLAMA_CPP_PYTHON if is_llama_cpp_python else owner or "OpenAI-compatible",
        "openai-tokens" if takes_ids and has_tokenizer else "openai-text",
        str(entry.get("id") or ""),
        f"{entry.get('id') or ''} {entry.get('root') or ''}".strip(),
        max_context if isinstance(max_context, int) else None,
        penalizes_repetition=is_llama_cpp_python,
    )


async def _health_only(transport: Transport, settings: RemoteSettings, _has_tokenizer: bool) -> ServerFacts | None:
    """Servers that cannot list their models (transformers serve, offline) are at least healthy."""
    health = await transport.fetch("GET", "/health")
    return ServerFacts("unknown", "openai-text", settings.model) if health.status == 200 else None


async def _first_model(transport: Transport) -> str:
    """The name of the one model; llama.cpp as a router needs it, alone it does not care."""
    content = _object(await transport.fetch("GET", "/v1/models")) or {}
    return _first_name(content.get("data"), "id")


def _entry(models: Sequence[object], wanted: str) -> Mapping[str, Any]:
    entries = [each for each in models if isinstance(each, Mapping)]
    named = [each for each in entries if each.get("id") == wanted]
    return (named or entries or [{}])[0]


def _first_name(entries: object, key: str) -> str:
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], Mapping):
        return ""
    return str(entries[0].get(key) or "")


def _object(reply: Reply) -> Mapping[str, Any] | None:
    return reply.content if reply.status == 200 and isinstance(reply.content, Mapping) else None


def _refused(reply: Reply) -> str:
    said = error_message(reply.content)
    return (
        f"the server refuses the key (HTTP {reply.status}{f': {said}' if said else ''});"
        " set COMPLETION_SERVER_REMOTE_API_KEY"
    )
