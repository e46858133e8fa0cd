"""Runs the HTTP side on the engine's event loop: its address, its token, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from completion_server.config import Settings
from completion_server.engine_host.http_limits import HttpLimits
from completion_server.engine_host.server import EngineServer
from completion_server.errors import ConfigError

_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class HttpOptions:
    """Where to listen, port 0 for any, and the token that requests have to bring."""

    host: str
    port: int
    token: str
    limits: HttpLimits = field(default_factory=HttpLimits)


def parse_http_address(text: str, *, allow_remote: bool) -> tuple[str, int]:
    """HOST:PORT. Raises ConfigError for what is no address, and for another host than this one unless allowed."""
    host, separator, port = text.rpartition(":")
    host = host.strip("[]")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{text!r} is not HOST:PORT")
    if not allow_remote and not _is_loopback(host):
        raise ConfigError(
            f"{host or 'every address'} can be reached from other machines; --http-allow-remote allows it"
        )
    return host, int(port)


def default_token_path() -> Path:
    """Where the token is kept from one start to the next."""
    return platformdirs.user_data_path("completion-server", appauthor=False) / "http-token"


@contextlib.asynccontextmanager
async def serving_http(server: EngineServer, settings: Settings, options: HttpOptions) -> AsyncIterator[str]:
    """Serve as long as the block runs; yields the address with the port that was found."""
    try:
        import uvicorn

        from completion_server.engine_host.http_api import HttpApi
        from completion_server.engine_host.http_connection import bounded_connection
    except ImportError as error:
        raise ConfigError(f"HTTP needs more packages ({error}): pip install 'completion-server[http]'") from error
    assert server.host is not None
    listener = _listen(options)
    names = _LOCAL_NAMES | {options.host.lower()} - {""}
    api = HttpApi(server.host, server, settings, options.limits)
    config = uvicorn.Config(
        api.app(options.token, names),
        log_level="warning",
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        http=bounded_connection(options.limits),
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=options.limits.idle_seconds,
    )

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # the engine has its own

    http = Server(config)
    task = asyncio.ensure_future(http.serve(sockets=[listener]))
    try:
        yield f"http://{_shown(options.host)}:{listener.getsockname()[1]}"
    finally:
        http.should_exit = True
        await task
        api.close()


def _listen(options: HttpOptions) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        return socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        raise ConfigError(f"cannot listen on {options.host}:{options.port}: {error}") from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
