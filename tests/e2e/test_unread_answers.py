"""A client that does not read its answers: they are bounded, and then the server leaves."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from completion_server.lsp.stdio import MAX_UNREAD_BYTES
from tests.support.raw_client import FAKE_SERVER, HANG_GUARD_SECONDS, frame

ROOT = Path(__file__).parents[2]
INITIALIZE = frame(
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"processId": None, "capabilities": {}}}
)
LONG = "x" * (1 << 20)


def long_request(number: int) -> bytes:
    """Its answer repeats the id."""
    return frame({"jsonrpc": "2.0", "id": f"{number}{LONG}", "method": "unknown/method"})


def send_without_reading(send: Callable[[bytes], object]) -> None:
    send(INITIALIZE)
    for number in range(3 * (MAX_UNREAD_BYTES >> 20)):
        send(long_request(number))


def start(*arguments: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen([*FAKE_SERVER, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT)


@pytest.mark.timeout(180)
def test_over_stdio_the_server_leaves() -> None:
    with start() as server:
        assert server.stdin is not None
        assert server.stderr is not None
        with contextlib.suppress(OSError):  # it has left
            send_without_reading(lambda data: (server.stdin.write(data), server.stdin.flush()))  # type: ignore[union-attr]
        assert server.wait(HANG_GUARD_SECONDS) == 1
        with contextlib.suppress(OSError):
            server.stdin.close()
        said = server.stderr.read().decode()
    assert said.count("unread; leaving") == 1, said
    assert said.count("\n") == 1, said


@pytest.mark.timeout(180)
def test_over_tcp_the_server_leaves() -> None:
    with start("127.0.0.1:0") as server:
        assert server.stderr is not None
        port = int(server.stderr.readline().rpartition(b":")[2])
        with socket.create_connection(("127.0.0.1", port), HANG_GUARD_SECONDS) as client:
            with contextlib.suppress(OSError):
                send_without_reading(client.sendall)
            assert server.wait(HANG_GUARD_SECONDS) == 1
        assert server.stderr.read().decode().count("unread; leaving") == 1


@pytest.mark.timeout(180)
def test_one_long_answer_after_the_other_is_no_fault() -> None:
    """Three times as much in all, by a client that reads."""
    with start() as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(INITIALIZE)
        for number in range(3 * (MAX_UNREAD_BYTES >> 20)):
            server.stdin.write(long_request(number))
            server.stdin.flush()
            length = int(server.stdout.readline().split()[1])
            server.stdout.read(length + 2)
        server.stdin.write(frame({"jsonrpc": "2.0", "id": 2, "method": "shutdown"}))
        server.stdin.write(frame({"jsonrpc": "2.0", "method": "exit"}))
        server.stdin.flush()
        assert server.wait(HANG_GUARD_SECONDS) == 0
