"""How much time and how many connections clients of the engine's HTTP side get."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HttpLimits:
    """``header_seconds``: from a connection, or the first byte of a request, to the end of its headers.
    ``body_seconds``: for all of its body. ``idle_seconds``: from an answer to the next request.
    ``read_seconds``: how long an answer may stay unread.
    """

    max_connections: int = 64
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: int = 5
    read_seconds: float = 30.0
