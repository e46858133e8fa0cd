from __future__ import annotations

import hashlib

import pytest

from tests.support.raw_client import URI, RawClient


def test_status(client: RawClient) -> None:
    client.open("MANY x")
    client.items(client.ask())
    status = client.status()
    assert (status["state"], status["num_requests"], status["num_open_documents"]) == ("ready", 1, 1)
    assert status["last_latency_ms"] > 0
    assert status["model"]["completed"] == 1
    assert "documents" not in status
    (document,) = client.status(documents=True)["documents"]
    assert document == {
        "uri": URI,
        "languageId": "python",
        "version": 1,
        "numLines": 1,
        "sha256": hashlib.sha256(b"MANY x").hexdigest(),
    }


def test_pause_and_resume(client: RawClient) -> None:
    client.open("x")
    assert client.command("pause")["state"] == "paused"
    assert client.items(client.ask()) == []
    assert client.command("explain")["reason"] == "paused"
    assert client.command("resume")["state"] == "ready"
    assert client.items(client.ask()) == ["fake_completion()"]


def test_explain(client: RawClient) -> None:
    assert client.command("explain") == {"reason": "there was no request yet"}
    client.open("secret_name = ECHO\n")
    client.items(client.ask(0, 14))
    client.open("x", "file:///other.py")
    client.items(client.ask(uri="file:///other.py", trigger=1))
    last = client.command("explain")
    assert (last["uri"], last["trigger"]) == ("file:///other.py", "invoked")
    for argument in (URI, {"uri": URI}):
        trace = client.command("explain", argument)
        assert (trace["uri"], trace["line"], trace["column"], trace["num_items"]) == (URI, 0, 14, 1)
        assert trace["total_ms"] >= trace["queue_ms"] >= 0
        assert "secret" not in str(trace)
    assert client.command("explain", "file:///unknown.py") == {"reason": "there was no request yet"}


def test_clear_caches(client: RawClient) -> None:
    assert client.command("clearCaches") == {"cleared": True}
    assert client.status()["model"]["cleared"] == 1


def test_cancel_of_a_command_is_answered_and_the_server_lives_on(client: RawClient) -> None:
    """pygls bug 5: -32800 is sent, yet the command's coroutine runs on; here its task ends."""
    client.open("WAIT")
    client.ask(trigger=1)
    client.wait_until_running()
    params = {"command": "completionServer.clearCaches"}
    request = client.start("workspace/executeCommand", params)
    client.notify("$/cancelRequest", {"id": request})
    assert client.error_code(request) == -32800
    client.command("pause")
    client.wait_until_idle()
    assert client.leave() == 0
    assert len(client.replies[request]) == 1


@pytest.mark.parametrize(
    "params",
    [{"command": "nonsense"}, {"command": ""}, {}, {"command": "completionServer.status", "arguments": 3}],
)
def test_bad_commands_are_answered_32602(client: RawClient, params: object) -> None:
    assert client.error_code(client.start("workspace/executeCommand", params)) == -32602


@pytest.mark.parametrize("argument", [None, 3, [], {"uri": 3}, {"documents": "yes"}])
def test_odd_arguments_do_no_harm(client: RawClient, argument: object) -> None:
    for name in ("status", "explain", "pause", "resume", "clearCaches"):
        assert isinstance(client.command(name, argument), dict)
