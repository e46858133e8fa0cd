"""One HTTP connection of the engine: how long it may be silent, and how many there may be.

uvicorn limits neither the time for a request's headers nor that for reading an answer, and refuses no connection.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from completion_server.engine_host.http_limits import HttpLimits

_BUSY = b"too many connections"
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BUSY), _BUSY)
)


def bounded_connection(limits: HttpLimits) -> type[H11Protocol]:
    """The class of connections with these limits, for ``uvicorn.Config``."""
    return type("LimitedConnection", (BoundedConnection,), {"limits": limits})


class BoundedConnection(H11Protocol):
    """Ends itself when no complete request comes in time, or when an answer is not read."""

    limits = HttpLimits()

    _silence: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            transport.write(_REFUSAL)
            transport.close()
        else:
            self._expect_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._silence = _stop(self._silence)
        elif self._silence is None:
            self._expect_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.limits.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread = _stop(self._unread)

    def connection_lost(self, exc: Exception | None) -> None:
        self._silence, self._unread = _stop(self._silence), _stop(self._unread)
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        self._silence = self.loop.call_later(self.limits.header_seconds, self.transport.abort)


def _stop(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """No timer."""
    if timer is not None:
        timer.cancel()
    return None
