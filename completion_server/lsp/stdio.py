"""Bytes to messages and back: one reader thread, one writer thread, both with plain blocking calls.

Owns framing (``Content-Length``), recovery from broken frames, and the protection of stdout. Knows nothing of
what the messages mean. LSP 3.18, "Base Protocol", header part.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from completion_server.scheduling import pass_on_quickly

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 256 << 20
MAX_UNREAD_BYTES = 32 << 20
"""Of messages that wait for a client that does not read."""
_READ_BYTES = 1 << 16
_MAX_HEADER_LINE = 1 << 16
# At the end of the line, not at its start: what a wrong length left over may stand before it.
_CONTENT_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,19})[ \t]*\r?\n\Z", re.IGNORECASE)

ReadSome = Callable[[int], bytes]
"""Blocks for at least one byte and at most the given number; empty at the end of the stream."""

OnMessage = Callable[[bytes, float], None]
"""Takes a message body and the monotonic instant (seconds) at which its last byte was read."""


@dataclass
class ByteChannel:
    """A pair of blocking byte streams."""

    read: ReadSome
    write: Callable[[bytes], object]
    close: Callable[[], None]


class MessageReader:
    """Cuts a byte stream into message bodies."""

    def __init__(self, read: ReadSome, on_broken: Callable[[str], None]) -> None:
        self._read = read
        self._on_broken = on_broken
        self._buffer = bytearray()

    def next_body(self) -> bytes | None:
        """The next message body, or None at the end of the stream. Broken frames are reported and skipped."""
        while True:
            length = self._read_headers()
            if length is None:
                return None
            if length <= MAX_MESSAGE_BYTES:
                return self._take(length)
            self._on_broken(f"a message of {length} bytes is over the limit of {MAX_MESSAGE_BYTES}")
            if not self._skip(length):
                return None

    def _read_headers(self) -> int | None:
        """Read lines until the empty one that ends a header; other headers and left-overs are passed over."""
        length: int | None = None
        while True:
            line = self._read_line()
            if line is None:
                return None
            if match := _CONTENT_LENGTH.search(line):
                length = int(match.group(1))
            elif length is not None and not line.strip():
                return length

    def _read_line(self) -> bytes | None:
        """Up to and including the next newline; at most _MAX_HEADER_LINE bytes, so that garbage stays small."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched >= _MAX_HEADER_LINE:
                end = searched - 1
                break
            if not self._fill():
                return None
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    def _take(self, length: int) -> bytes | None:
        while len(self._buffer) < length:
            if not self._fill(length - len(self._buffer)):
                return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _skip(self, length: int) -> bool:
        while length > len(self._buffer):
            length -= len(self._buffer)
            self._buffer.clear()
            if not self._fill():
                return False
        del self._buffer[:length]
        return True

    def _fill(self, wanted: int = 0) -> bool:
        data = self._read(max(_READ_BYTES, min(wanted, 1 << 20)))
        self._buffer += data
        return bool(data)


class Connection:
    """Runs a channel on two threads. Messages reach ``post`` in order; writes never block the caller."""

    def __init__(self, channel: ByteChannel) -> None:
        self._channel = channel
        self._outgoing: SimpleQueue[bytes | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._num_unread_bytes = 0
        self._is_given_up = False
        self._writer = threading.Thread(target=self._write_all, name="lsp-writer", daemon=True)
        self._on_closed: Callable[[], None] = lambda: None

    def start(
        self, on_message: OnMessage, on_broken: Callable[[str], None], on_closed: Callable[[], None]
    ) -> None:
        """Start both threads; the callbacks are called on them, ``on_closed`` at the end of either stream."""
        self._on_closed = on_closed
        reader = threading.Thread(
            target=self._read_all, args=(on_message, on_broken), name="lsp-reader", daemon=True
        )
        reader.start()
        self._writer.start()

    def write(self, data: bytes) -> None:
        """Queue one whole message. The connection ends when too much waits for a client that does not read."""
        with self._lock:
            if self._is_given_up:
                return
            is_too_much = self._num_unread_bytes > 0 and self._num_unread_bytes + len(data) > MAX_UNREAD_BYTES
            self._is_given_up = is_too_much
            self._num_unread_bytes += len(data)
        if is_too_much:
            log.warning("the client has left more than %d MiB unread; leaving", MAX_UNREAD_BYTES >> 20)
            self._on_closed()
            return
        self._outgoing.put(data)

    def close(self, timeout_seconds: float = 2.0) -> None:
        """Write what is queued, for at most ``timeout_seconds``, and close the channel."""
        self._outgoing.put(None)
        if self._writer.is_alive() and not self._is_given_up:
            self._writer.join(timeout_seconds)
        with contextlib.suppress(OSError):
            self._channel.close()

    def _read_all(self, on_message: OnMessage, on_broken: Callable[[str], None]) -> None:
        pass_on_quickly()
        reader = MessageReader(self._channel.read, on_broken)
        try:
            while (body := reader.next_body()) is not None:
                on_message(body, time.monotonic())
        except OSError as error:
            log.debug("reading ended: %s", error)
        self._on_closed()

    def _write_all(self) -> None:
        pass_on_quickly()
        try:
            while (data := self._outgoing.get()) is not None:
                self._channel.write(data)
                with self._lock:
                    self._num_unread_bytes -= len(data)
        except OSError as error:
            log.debug("writing ended: %s", error)
            self._on_closed()


def take_over_stdio() -> ByteChannel:
    """Keep stdin and stdout for the protocol alone.

    Both are duplicated; afterwards descriptor 1 and ``sys.stdout`` lead to stderr and descriptor 0 to nothing,
    so that a stray ``print``, also one of a C library or a child process, cannot get into the protocol.
    """
    sys.stdout.flush()
    read_fd, write_fd = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return ByteChannel(
        read=lambda size: os.read(read_fd, size),
        write=lambda data: _write_fully(write_fd, data),
        close=lambda: os.close(write_fd),
    )


def _write_fully(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
