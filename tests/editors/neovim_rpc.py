"""MessagePack-RPC with an embedded Neovim: blocking requests, notifications kept in order."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import pytest

HANG_GUARD_SECONDS = 60
_REQUEST, _RESPONSE, _NOTIFICATION = 0, 1, 2


class NeovimError(Exception):
    """Neovim answered a request with an error."""


class NeovimRpc:
    """A Neovim process started with ``--embed``."""

    def __init__(self, argv: Sequence[str]) -> None:
        msgpack = pytest.importorskip("msgpack", reason="msgpack is not installed: pip install pynvim")
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.notifications: list[tuple[str, list[Any]]] = []
        self._packer = msgpack.Packer(unicode_errors="surrogateescape")
        self._unpacker = msgpack.Unpacker(unicode_errors="surrogateescape", strict_map_key=False)
        self._num_requests = 0

    def call(self, method: str, *arguments: Any) -> Any:
        """The result of an API function. None while Neovim wants a key ("Press ENTER"): a failure."""
        end = time.monotonic() + HANG_GUARD_SECONDS
        self._num_requests += 1
        self._send([_REQUEST, self._num_requests, method, arguments])
        while True:
            kind, *message = self._receive(end)
            if kind == _NOTIFICATION:
                self.notifications.append((message[0], message[1]))
            elif kind == _RESPONSE and message[0] == self._num_requests:
                if message[1] is not None:
                    raise NeovimError(message[1][1] if isinstance(message[1], list) else message[1])
                return message[2]

    def listen(self, seconds: float) -> None:
        """Take in what Neovim tells by itself, for so long at most."""
        try:
            _, method, arguments = self._receive(time.monotonic() + seconds)
        except TimeoutError:
            return
        self.notifications.append((method, arguments))

    def close(self) -> None:
        """End the process, kindly at first."""
        try:
            self._send([_NOTIFICATION, "nvim_command", ["qall!"]])
            self.process.communicate(timeout=10)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.communicate()

    def _send(self, message: list[Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(self._packer.pack(message))
        self.process.stdin.flush()

    def _receive(self, end: float) -> list[Any]:
        assert self.process.stdout is not None
        while True:
            for message in self._unpacker:
                return list(message)
            stdout = self.process.stdout.fileno()
            if not select.select([stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("Neovim does not answer; does it wait for a key?")
            if not (data := os.read(stdout, 65536)):
                raise EOFError("Neovim has ended")
            self._unpacker.feed(data)
