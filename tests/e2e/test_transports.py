"""The ways in which clients start a server: LSP 3.18, "Implementation Considerations"."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.raw_client import RawClient, frame

SERVE = (sys.executable, "-m", "completion_server", "serve")


@pytest.mark.parametrize(
    "options",
    [
        ["--stdio"],
        ["--stdio", "--clientProcessId=4194303"],
        ["--clientProcessId", "4194303"],
        ["--clientProcessId=0", "--stdio", "--no-shared"],
        ["--log-level", "debug", "--stdio"],
    ],
)
def test_options_that_clients_append(options: list[str]) -> None:
    with RawClient(*SERVE, *options) as client:
        assert client.initialize()["serverInfo"]["name"] == "completion-server"
        client.call("shutdown")
        client.notify("exit")
        assert client.wait_for_exit() == 0


def test_the_server_ends_with_the_process_of_client_process_id() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent,
        RawClient(*SERVE, "--stdio", f"--clientProcessId={parent.pid}") as client,
    ):
        client.initialize()
        parent.kill()
        parent.wait()
        assert client.wait_for_exit() == 1


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_client_that_listens(kind: str, tmp_path: Path) -> None:
    if kind == "pipe":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "pipe"))
        listener.listen(1)
        option = f"--pipe={tmp_path / 'pipe'}"
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        option = f"--socket={listener.getsockname()[1]}"
    with closing(listener), subprocess.Popen([*SERVE, option], stdin=subprocess.DEVNULL) as process:
        listener.settimeout(60)
        connection, _ = listener.accept()
        with closing(connection), connection.makefile("rb") as stream:
            params = {"processId": None, "rootUri": None, "capabilities": {}}
            connection.sendall(frame({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}))
            reply = read_reply(stream)
            assert reply["result"]["serverInfo"]["name"] == "completion-server"
            connection.sendall(frame({"jsonrpc": "2.0", "id": 2, "method": "shutdown"}))
            assert read_reply(stream)["id"] == 2
            connection.sendall(frame({"jsonrpc": "2.0", "method": "exit"}))
            assert process.wait(60) == 0


def read_reply(stream):  # type: ignore[no-untyped-def]
    length = 0
    while (line := stream.readline().strip()) != b"":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return json.loads(stream.read(length))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--pipe=/nowhere/at/all"], "no client listens at the pipe"),
        (["--socket=1"], "no client listens at port 1"),
        (["--socket=0"], "Invalid value"),
        (["--stdio", "--socket=7777"], "only one of"),
        (["--pipe=x", "--tcp", "127.0.0.1:0"], "only one of"),
        (["--clientProcessId=x"], "clientProcessId"),
    ],
)
def test_what_cannot_be_used_is_a_clear_error(options: list[str], said: str) -> None:
    result = subprocess.run([*SERVE, *options], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert said in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.stderr
