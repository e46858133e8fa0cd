"""A short visit to a running engine, to look at it or to end it; it does not keep the engine from leaving."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import Any

from completion_server.errors import SharedEngineError
from completion_server.shared.address import EngineAddress
from completion_server.shared.connection import Connection
from completion_server.shared.wire import FromEngine, Hello, Look, Number, Stop

_SECONDS = 5.0


def visit(address: EngineAddress) -> dict[str, Any]:
    """What the engine says about itself. Raises SharedEngineError when there is none, or it does not answer."""
    connection, _ = _open(address)
    try:
        call = connection.ask(Look)
        call.wake.wait(_SECONDS)
        if not isinstance(call.answer, Number) or call.answer.state is None:
            raise SharedEngineError("the shared engine does not answer")
        return call.answer.state.status
    finally:
        connection.close()
        connection.join(_SECONDS)


def stop_engine(address: EngineAddress) -> None:
    """End the engine, and return when its connection is closed. Raises SharedEngineError as ``visit``."""
    connection, events = _open(address)
    try:
        connection.send(Stop())
        while events.get(timeout=_SECONDS) is not None:
            pass
    except Empty:
        raise SharedEngineError("the shared engine does not end") from None
    finally:
        connection.close()
        connection.join(_SECONDS)


def _open(address: EngineAddress) -> tuple[Connection, SimpleQueue[FromEngine | None]]:
    connected, file = address.connect(_SECONDS)
    events: SimpleQueue[FromEngine | None] = SimpleQueue()
    connection = Connection(connected, events.put, lambda _connection: events.put(None))
    connection.start(_SECONDS)
    connection.send(Hello(file.token, 0, 0, is_visitor=True))
    return connection, events
