"""One client over TCP on this machine, and the token by which it is known among the programs of other users.

A port of this machine is open to every user of it. With a token the server looks at the first message of each
connection: ``initialize`` has to carry the token in its ``initializationOptions``, which every editor can set.
"""

from __future__ import annotations

import contextlib
import hmac
import io
import ipaddress
import json
import logging
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from completion_server.errors import ConfigError
from completion_server.lsp.stdio import ByteChannel, MessageReader

log = logging.getLogger(__name__)

TOKEN_OPTION = "tcpToken"
"""The key in ``initializationOptions``; no setting, so it is neither shown nor logged."""
_GREETING_SECONDS = 10.0
_MAX_GREETING_BYTES = 1 << 20
_MAX_WAITING = 64
_POLL_SECONDS = 0.5
_CONNECT_SECONDS = 10.0
_REFUSAL = {
    "code": -32600,
    "message": f"the token is missing or wrong: set {TOKEN_OPTION} in initializationOptions",
}


@dataclass
class _Stranger:
    """A connection that has not said who it is."""

    give_up_at: float
    received: bytearray = field(default_factory=bytearray)


def accept_one_client(
    host: str, port: int, on_listening: Callable[[str, int], None] | None = None, token: str | None = None
) -> ByteChannel:
    """Listen on ``host:port`` (port 0: any free one), wait for one client and stop listening.

    With ``token`` for the first that brings it; others are refused. Raises ConfigError for an address that other
    machines could reach, or that cannot be used.
    """
    address = _loopback_address(host)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.create_server(
            (address, port), family=family, backlog=1 if token is None else _MAX_WAITING
        )
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error}") from error
    received = b""
    with listener:
        if on_listening is not None:
            on_listening(address, listener.getsockname()[1])
        if token is None:
            client, _peer = listener.accept()
        else:
            client, received = _accept_with_token(listener, token)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ByteChannel(_after(received, client.recv), client.sendall, client.close)


def _after(received: bytes, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """``read``, and before that what has been read already."""
    rest = io.BytesIO(received)
    return lambda size: rest.read(size) or read(size)


def _accept_with_token(listener: socket.socket, token: str) -> tuple[socket.socket, bytes]:
    """The first client whose ``initialize`` carries ``token``, and what it has sent."""
    listener.setblocking(False)
    with selectors.DefaultSelector() as selector:
        door = _Door(selector, token)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select(_POLL_SECONDS):
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                if ready is listener:
                    door.take(listener)
                elif door.knows(ready):
                    received = door.leave(ready)
                    door.close()
                    ready.setblocking(True)
                    return ready, received
            door.drop_slow()


class _Door:
    """Connections that have not said who they are. A slow one does not delay the others."""

    def __init__(self, selector: selectors.BaseSelector, token: str) -> None:
        self._selector = selector
        self._token = token
        self._strangers: dict[socket.socket, _Stranger] = {}

    def take(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it has left again
            client, _peer = listener.accept()
            client.setblocking(False)
            self._strangers[client] = _Stranger(time.monotonic() + _GREETING_SECONDS)
            self._selector.register(client, selectors.EVENT_READ)

    def knows(self, client: socket.socket) -> bool:
        """Whether ``client`` has brought the token; one that has brought something else is closed."""
        verdict = _listen_to(client, self._strangers[client], self._token)
        if verdict is False:
            self.leave(client)
            client.close()
        return verdict is True

    def leave(self, client: socket.socket) -> bytes:
        """Forget ``client``; what it has sent."""
        self._selector.unregister(client)
        return bytes(self._strangers.pop(client).received)

    def drop_slow(self) -> None:
        """Close those that take too long, and the oldest where there are too many."""
        now = time.monotonic()
        num_too_many = max(len(self._strangers) - _MAX_WAITING, 0)
        for index, (client, stranger) in enumerate(list(self._strangers.items())):
            if index < num_too_many or now > stranger.give_up_at:
                self.leave(client)
                client.close()

    def close(self) -> None:
        for client in list(self._strangers):
            self.leave(client)
            client.close()


def _listen_to(client: socket.socket, stranger: _Stranger, token: str) -> bool | None:
    """Whether ``client`` has brought the token; None while its first message is not complete."""
    try:
        data = client.recv(1 << 16)
    except BlockingIOError:
        return None
    except OSError:
        return False
    stranger.received += data
    body = MessageReader(io.BytesIO(stranger.received).read, lambda _problem: None).next_body()
    if body is None:
        return None if data and len(stranger.received) <= _MAX_GREETING_BYTES else False
    if _brings(body, token):
        return True
    log.warning("a client without the right token was refused")
    answer = json.dumps({"jsonrpc": "2.0", "id": None, "error": _REFUSAL}).encode()
    with contextlib.suppress(OSError):
        client.send(b"Content-Length: %d\r\n\r\n" % len(answer) + answer)
    return False


def _brings(body: bytes, token: str) -> bool:
    try:
        message = json.loads(body)
        brought = message["params"]["initializationOptions"][TOKEN_OPTION]
    except (ValueError, RecursionError, KeyError, TypeError, IndexError):
        return False
    if message.get("method") != "initialize" or not isinstance(brought, str):
        return False
    return hmac.compare_digest(brought.encode("utf-8", "surrogatepass"), token.encode())


def parse_address(text: str) -> tuple[str, int]:
    """``HOST:PORT`` (``[::1]:PORT`` for IPv6) as a pair. Raises ConfigError."""
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{text!r} is not HOST:PORT, for example 127.0.0.1:7777")
    return host.strip("[]"), int(port)


def _loopback_address(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ConfigError(
            f"{host} is refused: the server listens on this machine only (127.0.0.1, ::1, localhost)"
        )
    return host


def connect_to_client(pipe: str | None, port: int | None) -> ByteChannel:
    """Connect to a client that listens: at the Unix socket ``pipe``, or at ``port`` of this machine.

    LSP 3.18, "Implementation Considerations". Raises ConfigError where no client listens.
    """
    try:
        if pipe is None:
            connection = socket.create_connection(("127.0.0.1", port or 0), timeout=_CONNECT_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(_CONNECT_SECONDS)
            connection.connect(pipe)
    except (OSError, OverflowError, ValueError, AttributeError) as error:
        where = f"port {port}" if pipe is None else f"the pipe {pipe}"
        raise ConfigError(f"no client listens at {where}: {error}") from error
    connection.settimeout(None)
    return ByteChannel(connection.recv, connection.sendall, connection.close)
