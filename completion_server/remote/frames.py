"""Bytes of a streamed answer become JSON events: server-sent events and newline-delimited JSON.

Bytes are cut into lines before they are decoded, so a character that comes in two pieces is never half of one. SSE
as in the HTML standard, section 9.2.6, of which only ``data`` matters here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from completion_server.errors import RemoteError

_MAX_LINE_BYTES = 4 << 20  # llama.cpp repeats the prompt in its last event
_DONE = b"[DONE]"

Event = Mapping[str, Any]


class FrameParser(Protocol):
    """Takes bytes as they come; whole events come out. Raises RemoteError for what is no event."""

    @property
    def is_done(self) -> bool:
        """Whether the server said in so many words that nothing follows."""
        ...

    def feed(self, data: bytes) -> Iterator[Event]: ...

    def finish(self) -> Iterator[Event]:
        """The stream is over: what an event without its line end still gives."""
        ...


class LineSplitter:
    """Lines end at LF, CR or CRLF, wherever the pieces are cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._skips_lf = False

    def feed(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        if self._skips_lf:
            data = data.removeprefix(b"\n")
        self._rest += data
        # bytes.splitlines knows exactly these three line ends.
        lines = self._rest.splitlines(keepends=True)
        self._rest = b"" if not lines or lines[-1].endswith((b"\n", b"\r")) else lines.pop()
        self._skips_lf = bool(lines) and not self._rest and lines[-1].endswith(b"\r")
        if len(self._rest) > _MAX_LINE_BYTES:
            raise RemoteError("the server sends a line without an end")
        return [line.rstrip(b"\r\n") for line in lines]

    def finish(self) -> bytes:
        """The last line, if it has no end."""
        rest, self._rest = self._rest, b""
        return rest


class SseParser:
    """Server-sent events. Comments (keep-alive) and other fields are passed over."""

    def __init__(self) -> None:
        self._lines = LineSplitter()
        self._data: list[bytes] = []
        self.is_done = False

    def feed(self, data: bytes) -> Iterator[Event]:
        for line in self._lines.feed(data):
            yield from self._take(line)

    def finish(self) -> Iterator[Event]:
        # The standard drops an event without its blank line; servers that just hang up mean it all the same.
        yield from self._take(self._lines.finish())
        yield from self._take(b"")

    def _take(self, line: bytes) -> Iterator[Event]:
        if self.is_done:
            return
        if line:
            name, _, value = line.partition(b":")
            if name in (b"data", b"error"):  # llama.cpp has sent errors as a field of their own
                self._data.append(value.removeprefix(b" "))
            return
        data, self._data = b"\n".join(self._data), []
        if data.strip() == _DONE:
            self.is_done = True
        elif data:
            yield parse_event(data)


class NdjsonParser:
    """One JSON object per line (Ollama)."""

    def __init__(self) -> None:
        self._lines = LineSplitter()
        self.is_done = False

    def feed(self, data: bytes) -> Iterator[Event]:
        return (parse_event(line) for line in self._lines.feed(data) if line.strip())

    def finish(self) -> Iterator[Event]:
        rest = self._lines.finish()
        if rest.strip():
            yield parse_event(rest)


def parse_event(data: bytes) -> Event:
    """One JSON object. Raises RemoteError, also when the object is an error message."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        raise RemoteError("the server sent an event that is not JSON") from None
    if not isinstance(event, dict):
        raise RemoteError("the server sent an event that is not a JSON object")
    if (message := error_message(event)) is not None:
        raise RemoteError(f"the server broke off: {message}")
    return event


def error_message(content: object) -> str | None:
    """What an error object says, in any of its shapes: OpenAI's, FastAPI's, Ollama's, llama.cpp's bare one."""
    if not isinstance(content, Mapping):
        return None
    error = content.get("error", content.get("detail"))
    if error is None and content.get("object") == "error":
        error = content
    if error is None and {"code", "message"} <= content.keys():
        error = content
    if isinstance(error, list):  # FastAPI's validation errors, which repeat the input
        error = "; ".join(str(each.get("msg", "?")) for each in error if isinstance(each, Mapping))
    if isinstance(error, Mapping):
        error = error.get("message") or error.get("type") or "no reason given"
    if error is None or error is False:
        return None
    text = error if isinstance(error, str) else json.dumps(error)
    return text if len(text) <= 300 else text[:297] + "..."
