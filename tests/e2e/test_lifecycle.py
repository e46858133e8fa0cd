from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.raw_client import RawClient, inline_params

StartClient = Callable[..., RawClient]


def test_requests_before_initialize_are_answered_32002(raw: RawClient) -> None:
    assert raw.error_code(raw.start("textDocument/inlineCompletion", inline_params())) == -32002
    assert raw.error_code(raw.start("no/such/method")) == -32002
    raw.notify("textDocument/didOpen", {"nonsense": True})
    raw.ready()
    assert raw.status()["num_open_documents"] == 0
    assert raw.leave() == 0


def test_initialize_twice_is_refused(client: RawClient) -> None:
    assert client.error_code(client.start("initialize", {"processId": None, "capabilities": {}})) == -32600
    assert client.leave() == 0


def test_requests_after_shutdown_are_answered_32600(client: RawClient) -> None:
    client.call("shutdown")
    assert client.error_code(client.ask()) == -32600
    assert client.error_code(client.start("initialize", {})) == -32600
    assert client.error_code(client.start("shutdown")) == -32600
    client.notify("exit")
    assert client.wait_for_exit() == 0


def test_exit_without_shutdown_is_code_1(client: RawClient) -> None:
    client.notify("exit")
    assert client.wait_for_exit() == 1


def test_exit_before_initialize_is_code_1(raw: RawClient) -> None:
    raw.notify("exit")
    assert raw.wait_for_exit() == 1


@pytest.mark.parametrize(("shut_down", "code"), [(True, 0), (False, 1)])
def test_end_of_input_ends_the_server(client: RawClient, shut_down: bool, code: int) -> None:
    if shut_down:
        client.call("shutdown")
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.wait_for_exit() == code


def test_end_of_input_while_the_model_is_busy(client: RawClient) -> None:
    client.open("WAIT")
    client.ask()
    client.wait_until_running()
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.wait_for_exit() == 1


def test_end_of_input_while_loading(raw: RawClient) -> None:
    raw.initialize(options={"model": {"name": "GATE", "cacheDir": "/nonexistent/gate"}})
    assert raw.status()["state"] == "loading"
    assert raw.process.stdin is not None
    raw.process.stdin.close()
    assert raw.wait_for_exit() == 1


def test_the_client_closing_its_reading_end_ends_the_server(client: RawClient) -> None:
    # Not through the reader thread, which holds the pipe: a second server whose stdout nobody reads.
    command = [sys.executable, "-m", "tests.support.fake_server"]
    root = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd=root) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        body = b'{"jsonrpc":"2.0","id":1,"method":"shutdown"}'
        process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        process.stdin.flush()
        assert process.wait(60) == 1


def test_shutdown_with_requests_in_flight(client: RawClient) -> None:
    """pygls bug 4: -32603 and no shutdown, because a dict changes size while it is walked."""
    uris = [f"file:///{number}.py" for number in range(5)]
    for uri in uris:
        client.open("WAIT", uri)
    requests = [client.ask(uri=uri) for uri in uris]
    waiting = client.start("workspace/executeCommand", {"command": "completionServer.clearCaches"})
    assert client.call("shutdown") is None
    assert {client.error_code(request) for request in requests} == {-32800}
    assert len(client.replies[waiting]) == 1
    client.notify("exit")
    assert client.wait_for_exit() == 0


def test_the_server_leaves_when_the_process_that_started_it_is_gone(start_client: StartClient) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        client = start_client().ready(processId=parent.pid)
        client.status()
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert client.wait_for_exit() == 1


def test_end_of_input_ends_a_server_whose_event_loop_hangs(client: RawClient) -> None:
    client.open("STALL")
    client.ask()
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.wait_for_exit() == 1
    assert "Timeout" in client.stderr
    assert "fake_server.py" in client.stderr


def test_the_loss_of_the_parent_ends_a_server_whose_event_loop_hangs(start_client: StartClient) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        client = start_client().ready(processId=parent.pid)
        client.open("STALL")
        client.ask()
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert client.wait_for_exit() == 1


def test_a_parent_that_cannot_be_seen_is_not_watched(start_client: StartClient) -> None:
    client = start_client().ready(processId=2**30)
    assert client.status()["state"] == "ready"
    assert client.leave() == 0


def test_initialize_is_answered_before_the_model_is_loaded(raw: RawClient, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    raw.initialize(options={"model": {"name": "GATE", "cacheDir": str(gate)}})
    status = raw.status()
    assert status["state"] == "loading"
    raw.open("x")
    assert raw.items(raw.ask()) == []
    assert raw.command("explain")["reason"] == "loading"
    request = raw.ask(request_id="cancelled-while-loading")
    raw.notify("$/cancelRequest", {"id": request})
    waiting = raw.start(
        "workspace/executeCommand", {"command": "completionServer.status", "arguments": [{"wait": True}]}
    )
    gate.touch()
    assert raw.reply(waiting)["result"]["state"] == "ready"
    assert raw.status()["model"]["loads"] == 1, "loading is not cancelled by requests"
    assert raw.items(raw.ask()) == ["fake_completion()"]


def test_the_language_server_imports_nothing_that_it_does_not_need_at_once() -> None:
    program = (
        "import sys, completion_server.__main__, completion_server.cli.serve_command;"
        "heavy = {'torch', 'transformers', 'numpy', 'huggingface_hub', 'typer', 'rich', 'pydantic'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_initialize_with_capabilities_of_a_newer_editor(raw: RawClient) -> None:
    capabilities = {
        "general": {"positionEncodings": ["utf-8"]},
        "workspace": {"workspaceEdit": {"failureHandling": "by magic", "resourceOperations": [3]}},
        "textDocument": {"synchronization": "yes"},
    }
    result = raw.initialize(capabilities)
    assert result["capabilities"]["positionEncoding"] == "utf-8"
    assert raw.leave() == 0


def test_initialize_without_params_is_answered(raw: RawClient) -> None:
    raw.send({"jsonrpc": "2.0", "id": 1, "method": "initialize"})
    assert "result" in raw.reply(1)
    raw.notify("exit")
    assert raw.wait_for_exit() == 1


def test_capabilities_are_advertised(raw: RawClient) -> None:
    capabilities = raw.initialize()["capabilities"]
    assert capabilities["inlineCompletionProvider"] == {}
    assert capabilities["textDocumentSync"] == {"openClose": True, "change": 2, "save": True}
    assert capabilities["positionEncoding"] == "utf-16"
    commands = capabilities["executeCommandProvider"]["commands"]
    names = ("status", "pause", "resume", "explain", "clearCaches", "accepted")
    assert commands == [f"completionServer.{name}" for name in names]
