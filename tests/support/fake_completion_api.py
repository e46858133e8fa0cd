"""An HTTP server on loopback that answers as a test scripts it, byte for byte, and remembers what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

GUARD_SECONDS = 30


@dataclass(frozen=True)
class Script:
    """One answer. ``pieces`` go out one by one; then the connection ends, or is held until the client leaves."""

    pieces: tuple[bytes, ...] = ()
    status: int = 200
    holds: bool = False
    drops: bool = False
    """Close the connection without a word of an answer."""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


Answer = Script | Callable[[Asked], Script]


@dataclass
class FakeApi:
    """``routes`` maps a path to its answer, or to answers given one after the other (the last one stays)."""

    routes: dict[str, Answer | list[Answer]] = field(default_factory=dict)
    port: int = 0
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    client_left: threading.Event = field(default_factory=threading.Event)
    is_holding: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> FakeApi:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.answer(self)

            def do_POST(self) -> None:
                fake.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(GUARD_SECONDS)

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    def bodies(self, path: str) -> list[Any]:
        return [asked.body for asked in self.asked if asked.path == path]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        content = handler.rfile.read(length)
        asked = Asked(
            handler.command, handler.path, dict(handler.headers), json.loads(content) if content else None
        )
        self.asked.append(asked)
        script = self._script(asked)
        if script.drops:
            handler.close_connection = True
            return
        handler.send_response(script.status)
        for name, value in script.headers:
            handler.send_header(name, value)
        handler.end_headers()
        try:
            for piece in script.pieces:
                handler.wfile.write(piece)
                handler.wfile.flush()
            if script.holds:
                self.is_holding.set()
                handler.connection.settimeout(GUARD_SECONDS)
                if handler.connection.recv(1) == b"":
                    self.client_left.set()
        except ConnectionError:
            self.client_left.set()

    def _script(self, asked: Asked) -> Script:
        route = self.routes.get(asked.path, Script((b'{"error":{"message":"no such path"}}',), 404))
        if isinstance(route, list):
            route = route.pop(0) if len(route) > 1 else route[0]
        return route if isinstance(route, Script) else route(asked)


def json_script(content: Any, status: int = 200) -> Script:
    return Script((json.dumps(content).encode(),), status)


def sse(*events: Any, done: bool = True) -> tuple[bytes, ...]:
    """Server-sent events, one piece each."""
    pieces = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    return (*pieces, b"data: [DONE]\n\n") if done else tuple(pieces)


def choice(text: str, finish_reason: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"choices": [{"index": index, "text": text, "finish_reason": finish_reason}]}
