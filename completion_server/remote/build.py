"""Settings become a connection to a model server, an engine over it and the prompts for it."""

from __future__ import annotations

import logging
from pathlib import Path

from completion_server.config import Settings, remote_api_key
from completion_server.remote.address import key_from_keyring, parse_address
from completion_server.remote.breaker import CircuitBreaker
from completion_server.remote.connection import Connection, KnownModel
from completion_server.remote.engine import RemoteEngine
from completion_server.remote.prompt import RemotePromptBuilder
from completion_server.remote.transport import Transport
from completion_server.tokenizer import Tokenizer

_PROBE_SECONDS = 10.0

_log = logging.getLogger(__name__)


def build_remote(
    settings: Settings, breaker: CircuitBreaker | None = None
) -> tuple[RemoteEngine, RemotePromptBuilder]:
    """Connect to ``settings.remote.url``. A server that is not there is no error: it is looked for again later.

    Raises ConfigError for a bad address, ModelError for a bad tokenizer.
    """
    remote = settings.remote
    address = parse_address(remote.url)
    tokenizer = _read_tokenizer(remote.tokenizer) if remote.tokenizer else None
    transport = Transport(address, remote_api_key(remote.url) or key_from_keyring(address))
    model, order = KnownModel(tokenizer), settings.model.prompt_order
    connection = Connection(address, remote, transport, model, prompt_order=order, breaker=breaker)
    connection.look(_PROBE_SECONDS)
    for warning in connection.warnings():
        _log.warning("%s", warning)
    return RemoteEngine(connection), RemotePromptBuilder(connection.current_plan, tokenizer)


def _read_tokenizer(named: str) -> Tokenizer:
    path = Path(named).expanduser()
    return Tokenizer.from_directory(path.parent if path.name == "tokenizer.json" else path)
