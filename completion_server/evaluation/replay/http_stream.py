"""As much HTTP as a local completion server needs: one request per connection, the answer line by line.

Closing the connection early is how such a server is told that nobody waits any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from urllib.parse import urlsplit

from completion_server.errors import CompletionServerError

_MAX_LINE_BYTES = 1 << 22


async def stream_lines(address: str, path: str, body: object = None) -> AsyncGenerator[str, None]:
    """Lines of the answer as they come; POST with a ``body``, else GET. CompletionServerError for a bad status."""
    host, port = urlsplit(address).hostname, urlsplit(address).port
    reader, writer = await asyncio.open_connection(host, port, limit=_MAX_LINE_BYTES)
    try:
        writer.write(_request(f"{host}:{port}", path, body))
        status, headers = await _read_head(reader)
        chunks = _chunks(reader) if "chunked" in headers.get("transfer-encoding", "") else _plain(reader, headers)
        if status != 200:
            said = b"".join([chunk async for chunk in chunks]).decode("utf-8", "replace")
            raise CompletionServerError(f"{path} answered with status {status}: {said[:300]}")
        rest = b""
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "replace").rstrip("\r")
        if rest:
            yield rest.decode("utf-8", "replace")
    finally:
        writer.close()


async def fetch_text(address: str, path: str, body: object = None) -> str:
    """The whole answer."""
    async with aclosing(stream_lines(address, path, body)) as lines:
        return "\n".join([line async for line in lines])


def _request(host: str, path: str, body: object) -> bytes:
    if body is None:
        return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    status_line = (await reader.readline()).decode("latin-1").split()
    if len(status_line) < 2 or not status_line[1].isdigit():
        raise CompletionServerError("the peer's server closed the connection")
    headers: dict[str, str] = {}
    while (line := (await reader.readline()).decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip().lower()
    return int(status_line[1]), headers


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while (size := int((await reader.readline()).split(b";")[0] or b"0", 16)) > 0:
        yield (await reader.readexactly(size + 2))[:-2]


async def _plain(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    length = headers.get("content-length")
    yield await reader.read() if length is None else await reader.readexactly(int(length))
