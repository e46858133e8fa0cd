"""A window's connection to the shared engine: frames over a socket, and who waits for which answer."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable

from completion_server.errors import RequestError, SharedEngineError
from completion_server.scheduling import pass_on_quickly
from completion_server.shared.wire import (
    HEADER_BYTES,
    FromEngine,
    FromWindow,
    Generated,
    Number,
    Refused,
    decode_from_engine,
    encode_frame,
    frame_length,
)

log = logging.getLogger(__name__)

Answer = Generated | Number | Refused


class Call:
    """One question that waits for its answer. ``wake`` is set when there is something to look at."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.wake = threading.Event()
        self.answer: Answer | None = None
        self.is_lost = False


class Connection:
    """Owns a connected socket and the thread that reads it. Any thread may send."""

    def __init__(
        self,
        connection: socket.socket,
        on_event: Callable[[FromEngine], None],
        on_lost: Callable[[Connection], None],
    ) -> None:
        """``on_event`` gets what is no answer to a call; ``on_lost`` is called once, when nothing more will come.

        Both on the reading thread.
        """
        self._socket = connection
        self._on_event = on_event
        self._on_lost = on_lost
        self._send_lock = threading.Lock()
        self._lock = threading.Lock()
        self._calls: dict[int, Call] = {}
        self._last_number = 0
        self._is_lost = False
        self._thread = threading.Thread(target=self._read, name="shared engine", daemon=True)

    def start(self, send_timeout_seconds: float) -> None:
        """Start reading. An engine that takes nothing for ``send_timeout_seconds`` is given up."""
        # One timeout holds for both directions of a Python socket; the reader then goes on waiting.
        self._socket.settimeout(send_timeout_seconds)
        self._thread.start()

    def ask(self, make: Callable[[int], FromWindow]) -> Call:
        """Send the message that ``make`` builds for a call's number. Raises SharedEngineError when it is lost."""
        with self._lock:
            if self._is_lost:
                raise SharedEngineError("the shared engine is gone")
            self._last_number += 1
            call = self._calls[self._last_number] = Call(self._last_number)
        try:
            self.send(make(call.number))
        except BaseException:
            self.forget(call)
            raise
        return call

    def forget(self, call: Call) -> None:
        """Nobody waits for this answer any more."""
        with self._lock:
            self._calls.pop(call.number, None)

    def send(self, message: FromWindow) -> None:
        """Raises SharedEngineError when the engine is gone or takes nothing."""
        frame = encode_frame(message)
        try:
            with self._send_lock:
                self._socket.sendall(frame)
        except OSError as error:
            self.close()
            raise SharedEngineError(f"the shared engine is gone ({error})") from error

    def close(self) -> None:
        """End the connection; the reading thread then ends by itself."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def join(self, timeout_seconds: float) -> None:
        """Wait for the reading thread; for tests and for a window that stays."""
        self._thread.join(timeout_seconds)

    def _read(self) -> None:
        pass_on_quickly()
        try:
            while (header := self._receive(HEADER_BYTES)) is not None:
                body = self._receive(frame_length(header))
                if body is None:
                    break
                self._take(decode_from_engine(body))
        except (OSError, RequestError) as error:
            log.debug("reading from the shared engine ended: %s", error)
        finally:
            self._lose()

    def _receive(self, num_bytes: int) -> bytes | None:
        """Exactly so many bytes; None at the end of the stream."""
        data = bytearray()
        while len(data) < num_bytes:
            try:
                part = self._socket.recv(num_bytes - len(data))
            except TimeoutError:
                continue  # an engine that has nothing to say is no fault
            if not part:
                return None
            data += part
        return bytes(data)

    def _take(self, message: FromEngine) -> None:
        if not isinstance(message, Generated | Number | Refused):
            self._on_event(message)
            return
        with self._lock:
            call = self._calls.pop(message.call, None)
        if call is not None:
            call.answer = message
            call.wake.set()

    def _lose(self) -> None:
        with self._lock:
            self._is_lost = True
            calls, self._calls = list(self._calls.values()), {}
        self._socket.close()
        for call in calls:
            call.is_lost = True
            call.wake.set()
        self._on_lost(self)
