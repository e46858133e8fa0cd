"""HTTP on a thread of its own, so that the model thread can wait for bytes, a deadline and a cancel at once.

A blocking read cannot be given up halfway; a coroutine can. The model thread takes bytes from a queue and closes
the exchange when it has enough: that cancels the coroutine, and with it the connection, which is what tells a
server to stop. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import weakref
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import httpx

from completion_server import __version__
from completion_server.errors import ConfigError, RemoteError
from completion_server.remote.address import ServerAddress
from completion_server.remote.frames import error_message

_CONNECT_SECONDS = 5.0
_STALL_SECONDS = 60.0  # no byte for so long: the answer is not coming
_MAX_ERROR_BYTES = 64 << 10
_CLOSE_SECONDS = 2.0
_LAST_SECONDS = 0.5
_END_SECONDS = 1.0
_NUM_LAST_TURNS = 5  # of the loop: a socket is closed some turns after it was told to


class HttpStatusError(RemoteError):
    """The server answered with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


@dataclass(frozen=True)
class Reply:
    """A small answer that was read whole; ``content`` is None where it is not JSON."""

    status: int
    content: Any


class Exchange:
    """One streamed request. ``next_bytes`` and ``close`` belong to the thread that started it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived: queue.SimpleQueue[bytes | RemoteError | None] = queue.SimpleQueue()
        self._task: Future[None] | None = None
        self._end: RemoteError | None = None
        self._is_over = False

    def next_bytes(self, timeout_seconds: float) -> bytes | None:
        """What has come, b"" when nothing did in time, None at the end of the answer. Raises RemoteError."""
        if not self._is_over:
            try:
                arrived = self._arrived.get(timeout=max(timeout_seconds, 0.0))
            except queue.Empty:
                return b""
            if isinstance(arrived, bytes):
                return arrived
            self._is_over, self._end = True, arrived
        if self._end is not None:
            raise self._end
        return None

    def close(self) -> None:
        """Give the answer up; does not wait."""
        if self._task is not None:
            self._task.cancel()

    def let_end(self) -> None:
        """Nothing more is wanted and nothing more comes: the connection may be used again. Does not wait."""
        if self._task is not None and not self._task.done():
            self._loop.call_soon_threadsafe(self._loop.call_later, _END_SECONDS, self._task.cancel)

    def run_by(self, task: Future[None]) -> None:
        self._task = task

    def put(self, arrived: bytes | RemoteError | None) -> None:
        """Called by the transport; None ends the answer well, an error ends it badly."""
        self._arrived.put(arrived)


class Transport:
    """The connections to one server. All methods may be called from any thread."""

    def __init__(self, address: ServerAddress, api_key: str | None = None) -> None:
        """TLS is verified; proxies of the environment are used, but never to this machine."""
        self._base = address.base
        self._loop = asyncio.new_event_loop()
        headers = {"User-Agent": f"completion-server/{__version__}"}
        if api_key:
            if not api_key.isascii() or not api_key.isprintable():
                raise ConfigError("the key of the model server has characters that no key has")
            headers["Authorization"] = f"Bearer {api_key}"
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(_STALL_SECONDS, connect=_CONNECT_SECONDS),
            trust_env=not address.is_loopback,
            follow_redirects=False,  # the text goes where the user said
        )
        thread = threading.Thread(target=self._loop.run_forever, name="remote", daemon=True)
        thread.start()
        # Whoever forgets to close it: the thread ends when nobody holds the transport any more.
        self._finalizer = weakref.finalize(self, _shut_down, self._loop, self._client, thread)

    def close(self) -> None:
        """End all exchanges and the thread."""
        self._finalizer()

    def post(self, path: str, body: Mapping[str, object]) -> Exchange:
        """Start a streamed request; connection errors before the first byte are tried once more."""
        exchange = Exchange(self._loop)
        exchange.run_by(self.start(_stream(self._client, self._base + path, body, exchange)))
        return exchange

    def start(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Run a coroutine on the thread of the connections."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def fetch(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Reply:
        """A small request, on the transport's own thread. Raises RemoteError when there is no answer at all."""
        try:
            try:
                response, content = await self._fetch_once(method, path, body)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                # Some servers hang up after an error (uvicorn), and the pool learns of it too late.
                response, content = await self._fetch_once(method, path, body)
        except httpx.HTTPError as error:
            raise RemoteError(_describe(error)) from None
        try:
            return Reply(response.status_code, httpx.Response(200, content=content).json())
        except ValueError:
            return Reply(response.status_code, None)

    async def _fetch_once(
        self, method: str, path: str, body: Mapping[str, object] | None
    ) -> tuple[httpx.Response, bytes]:
        async with self._client.stream(method, self._base + path, json=body) as response:
            return response, await _read_some(response)


async def _stream(client: httpx.AsyncClient, url: str, body: Mapping[str, object], exchange: Exchange) -> None:
    try:
        try:
            await _stream_once(client, url, body, exchange)
        except _NotStartedError:
            await _stream_once(client, url, body, exchange)
        exchange.put(None)
    except _NotStartedError as error:
        exchange.put(RemoteError(str(error)))
    except RemoteError as error:
        exchange.put(error)
    except Exception as error:  # noqa: BLE001 - whoever waits must be told of every end
        exchange.put(RemoteError(f"the request failed: {type(error).__name__}"))


class _NotStartedError(RemoteError):
    """The connection failed before the server had begun to answer: asking again does no harm."""


async def _stream_once(
    client: httpx.AsyncClient, url: str, body: Mapping[str, object], exchange: Exchange
) -> None:
    has_begun = False
    try:
        async with client.stream("POST", url, json=body) as response:
            has_begun = True
            if response.status_code != 200:
                raise HttpStatusError(response.status_code, await _error_text(response))
            async for data in response.aiter_bytes():
                exchange.put(data)
    except httpx.HTTPError as error:
        if not has_begun and not isinstance(error, httpx.TimeoutException):
            raise _NotStartedError(_describe(error)) from None
        raise RemoteError(_describe(error)) from None


async def _error_text(response: httpx.Response) -> str:
    content = await _read_some(response)
    try:
        message = error_message(httpx.Response(200, content=content).json())
    except ValueError:
        message = None
    if response.status_code in (401, 403):
        return f"the server refuses the key ({message or response.reason_phrase})"
    return message or response.reason_phrase or "no reason given"


async def _read_some(response: httpx.Response) -> bytes:
    content = b""
    async for data in response.aiter_bytes():
        content += data
        if len(content) > _MAX_ERROR_BYTES:
            break
    return content


def _describe(error: httpx.HTTPError) -> str:
    """For the user; the library's own words may be empty."""
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection: the server does not respond"
    if isinstance(error, httpx.ConnectError):
        return f"no connection: {error or 'refused'}"
    if isinstance(error, httpx.TimeoutException):
        return "the server stopped answering"
    return f"the connection broke: {error or type(error).__name__}"


def _shut_down(loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient, thread: threading.Thread) -> None:
    async def end() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:  # a task that is cancelled while it connects may leave its socket to the garbage collector
            await asyncio.wait(others, timeout=_LAST_SECONDS)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await client.aclose()
        await loop.shutdown_asyncgens()
        for _ in range(_NUM_LAST_TURNS):
            await asyncio.sleep(0)
        loop.stop()

    if threading.current_thread() is thread:  # collected by chance while this very thread ran
        loop.call_soon(loop.stop)
    if threading.current_thread() is thread or not thread.is_alive():
        return
    asyncio.run_coroutine_threadsafe(end(), loop)
    thread.join(_CLOSE_SECONDS)
    if not thread.is_alive():
        loop.close()
