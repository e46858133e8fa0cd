from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from completion_server.errors import ConfigError
from completion_server.lsp.tcp import accept_one_client, parse_address
from tests.support.raw_client import frame

ROOT = Path(__file__).parents[2]


def request(identifier: int, method: str, params: object = None) -> bytes:
    return frame({"jsonrpc": "2.0", "id": identifier, "method": method, "params": params})


def test_one_client_over_tcp_and_then_the_end() -> None:
    command = [sys.executable, "-m", "tests.support.fake_server", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as server:
        assert server.stderr is not None
        port = int(server.stderr.readline().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(request(1, "initialize", {"processId": None, "rootUri": None, "capabilities": {}}))
            client.sendall(request(2, "shutdown"))
            client.sendall(frame({"jsonrpc": "2.0", "method": "exit"}))
            received = b""
            while data := client.recv(65536):
                received += data
        assert b'"id":1,"result"' in received
        assert b'"id":2,"result":null' in received
        assert server.wait(60) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_client_that_hangs_up_ends_the_server() -> None:
    command = [sys.executable, "-m", "tests.support.fake_server", "[::1]:0" if socket.has_ipv6 else "localhost:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as server:
        assert server.stderr is not None
        line = server.stderr.readline()
        if "listening" not in line:
            pytest.skip("no IPv6 loopback here")
        address = ("::1" if "::1" in line else "127.0.0.1", int(line.rpartition(":")[2]))
        socket.create_connection(address).close()
        assert server.wait(60) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", "::", ""])
def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="this machine only"):
        accept_one_client(host, 0)


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "127.0.0.1:", ":80", "127.0.0.1:abc", "127.0.0.1:70000", "127.0.0.1:-1"]
)
def test_bad_addresses_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        parse_address(text)


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="cannot listen"):
        accept_one_client("127.0.0.1", taken.getsockname()[1])


def test_addresses() -> None:
    assert parse_address("localhost:7") == ("localhost", 7)
    assert parse_address("[::1]:7") == ("::1", 7)
