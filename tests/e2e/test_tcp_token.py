"""``--tcp`` with a token: whoever connects first without it is refused and delays nobody."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from completion_server.errors import ConfigError
from completion_server.shared.token_file import read_or_make_token
from tests.support.raw_client import HANG_GUARD_SECONDS, frame

ROOT = Path(__file__).parents[2]
TOKEN = "right-" + "t" * 30


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that waits for its client."""
    command = [sys.executable, "-m", "tests.support.fake_server", "127.0.0.1:0", TOKEN]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as server:
        assert server.stderr is not None
        yield int(server.stderr.readline().rpartition(b":")[2])
        server.kill()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), HANG_GUARD_SECONDS)


def initialize(options: Any, method: str = "initialize") -> bytes:
    params = {"processId": None, "capabilities": {}, "initializationOptions": options}
    return frame({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def is_served(port: int, options: Any) -> bool:
    """Whether a client with these options gets as far as leaving in order."""
    with connected(port) as client:
        client.sendall(initialize(options))
        client.sendall(frame({"jsonrpc": "2.0", "method": "initialized", "params": {}}))
        client.sendall(frame({"jsonrpc": "2.0", "id": 2, "method": "shutdown"}))
        client.sendall(frame({"jsonrpc": "2.0", "method": "exit"}))
        received = until_closed(client)
    assert b"tcpToken" not in received, "it is taken for a setting"
    return b'"id":1,"result"' in received and b'"id":2,"result":null' in received


def until_closed(client: socket.socket) -> bytes:
    received = b""
    try:
        while data := client.recv(65_536):
            received += data
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize(
    "options",
    [{"tcpToken": TOKEN}, {"tcpToken": TOKEN, "enabled": True}, {"completionServer": {}, "tcpToken": TOKEN}],
)
def test_the_token_opens(port: int, options: Any) -> None:
    assert is_served(port, options)


WRONG = [
    initialize(None),
    initialize({}),
    initialize({"tcpToken": ""}),
    initialize({"tcpToken": TOKEN[:-1]}),
    initialize({"tcpToken": TOKEN + "x"}),
    initialize({"tcpToken": TOKEN.upper()}),
    initialize({"tcpToken": [TOKEN]}),
    initialize({"tcpToken": None}),
    initialize({"tcpToken": "\ud800" * 40}),
    initialize({"completionServer": {"tcpToken": TOKEN}}),
    initialize([TOKEN]),
    initialize(TOKEN),
    initialize({"tcpToken": TOKEN}, "shutdown"),
    frame([{"method": "initialize", "params": {"initializationOptions": {"tcpToken": TOKEN}}}]),
    frame({"method": "initialize", "params": [TOKEN]}),
    frame(None),
    frame("initialize"),
    b"Content-Length: 5\r\n\r\n{{{{{",
    b"Content-Length: 100000\r\n\r\n" + b"[" * 100_000,
    b"x" * (2 << 20),
    b"Content-Length: 9999999999\r\n\r\n" + b"x" * (2 << 20),
    b"GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
]


@pytest.mark.parametrize("sent", WRONG, ids=range(len(WRONG)))
def test_without_it_the_next_is_served(port: int, sent: bytes) -> None:
    with connected(port) as stranger:
        try:
            stranger.sendall(sent)
        except ConnectionError:
            answer = b""
        else:
            answer = until_closed(stranger)
    assert b'"result"' not in answer
    assert is_served(port, {"tcpToken": TOKEN})


@pytest.mark.parametrize("sent", [b"", b"Con", b"Content-Length: 500\r\n\r\n{", b"\r\n\r\n"])
def test_those_who_say_nothing_delay_nobody(port: int, sent: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(100):  # more than are kept
            stranger = stack.enter_context(connected(port))
            stranger.sendall(sent)
        assert is_served(port, {"tcpToken": TOKEN})


def test_a_refused_client_is_told_what_to_do(port: int) -> None:
    with connected(port) as stranger:
        stranger.sendall(initialize({}))
        answer = until_closed(stranger)
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert "tcpToken in initializationOptions" in error["message"]


def test_the_greeting_may_come_in_pieces(port: int) -> None:
    with connected(port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in initialize({"tcpToken": TOKEN}):
            client.sendall(bytes([byte]))
        assert b"Content-Length" in client.recv(65_536)


def test_the_option_makes_the_file_and_asks_for_its_content(tmp_path: Path) -> None:
    path = tmp_path / "new" / "token"
    command = [
        sys.executable,
        "-m",
        "completion_server",
        "serve",
        "--tcp",
        "127.0.0.1:0",
        "--tcp-token-file",
        path,
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT) as server:
        assert server.stderr is not None
        port = int(server.stderr.readline().rpartition(b":")[2])
        assert path.stat().st_mode & 0o777 == 0o600
        with connected(port) as stranger:
            stranger.sendall(initialize({"tcpToken": "wrong"}))
            assert b'"error"' in until_closed(stranger)
        options = {"tcpToken": path.read_text().strip(), "enabled": False}
        assert is_served(port, options)
        assert server.wait(HANG_GUARD_SECONDS) == 0


def test_the_option_needs_tcp(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "completion_server", "serve", "--tcp-token-file", tmp_path / "token"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, input="")
    assert result.returncode == 2
    assert "--tcp" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="modes and FIFOs")
@pytest.mark.parametrize("content", ["", "short", "x" * 19, "x" * 5000, "two\nlines" + "x" * 30, "é" * 30, None])
def test_a_token_file_that_is_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "token"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_text(content, encoding="utf-8")
        path.chmod(0o600)
    with pytest.raises(ConfigError, match="token"):
        read_or_make_token(path)


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o644, 0o777])
def test_a_token_file_that_others_can_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    read_or_make_token(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_or_make_token(path)
