"""Rules of the message loop, without a process: what the client would receive for what it sends."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import FeatureNotificationError

from completion_server.lsp.protocol import ServerProtocol
from completion_server.lsp.server import create_server


class Wire:
    """Collects what the protocol writes."""

    def __init__(self) -> None:
        self.server = create_server(lambda _settings, _progress: pytest.fail("nothing is loaded here"))
        self.protocol: ServerProtocol = self.server.protocol
        self.protocol.writer = self
        self.sent: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        header, _, body = data.partition(b"\r\n\r\n")
        assert header == b"Content-Length: %d" % len(body)
        self.sent.append(json.loads(body))

    def receive(self, **message: Any) -> None:
        self.protocol.receive(json.dumps({"jsonrpc": "2.0", **message}).encode(), 1.5)

    def start(self) -> Wire:
        self.receive(id=0, method="initialize", params={"processId": None, "rootUri": None, "capabilities": {}})
        self.sent.clear()
        return self

    def replies(self, request_id: Any) -> list[dict[str, Any]]:
        return [message for message in self.sent if "method" not in message and message["id"] == request_id]


@pytest.fixture
async def wire() -> Wire:
    return Wire().start()


METHOD = "textDocument/hover"
PARAMS = {"textDocument": {"uri": "file:///a"}, "position": {"line": 0, "character": 0}}


async def test_notifications_leave_no_future_behind(wire: Wire) -> None:
    """pygls bug 1."""
    params = {"textDocument": {"uri": "a", "languageId": "x", "version": 1, "text": ""}}
    wire.receive(method="textDocument/didOpen", params=params)
    for version in range(2, 500):
        document = {"uri": "a", "version": version}
        wire.receive(method="textDocument/didChange", params={"textDocument": document, "contentChanges": []})
    assert wire.protocol.num_unanswered == 0
    assert wire.protocol.num_unanswered_by_client == 0
    assert len(wire.server.documents) == 1


async def test_no_popup_when_a_notification_handler_fails(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    """pygls bug 10."""

    def fail(_params: object) -> None:
        raise RuntimeError("scripted")

    async def fail_later(_params: object) -> None:
        raise RuntimeError("scripted, later")

    wire.protocol.register("textDocument/didSave", fail)
    wire.protocol.register("textDocument/willSave", fail_later)
    wire.receive(method="textDocument/didSave", params={"textDocument": {"uri": "a"}})
    wire.receive(method="textDocument/willSave", params={"textDocument": {"uri": "a"}, "reason": 1})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    wire.server.report_server_error(RuntimeError("scripted"), FeatureNotificationError)
    assert wire.sent == []
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 3


@pytest.mark.parametrize("swallows", [False, True])
async def test_cancel_is_answered_at_once_and_once(wire: Wire, swallows: bool) -> None:
    async def wait(_params: object) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not swallows:
                raise
        return "too late"

    wire.protocol.register(METHOD, wait)
    wire.receive(id="a", method=METHOD, params=PARAMS)
    await asyncio.sleep(0)
    wire.receive(method="$/cancelRequest", params={"id": "a"})
    assert [reply["error"]["code"] for reply in wire.replies("a")] == [-32800]
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(wire.replies("a")) == 1
    assert wire.protocol.num_unanswered == 0


async def test_cancel_before_the_first_stretch_of_a_handler(wire: Wire) -> None:
    ran = []

    async def note(_params: object) -> None:
        ran.append(1)

    wire.protocol.register(METHOD, note)
    wire.receive(id=1, method=METHOD, params=PARAMS)
    wire.receive(method="$/cancelRequest", params={"id": 1})
    await asyncio.sleep(0)
    assert ran == []
    assert len(wire.replies(1)) == 1


async def test_a_cancelled_command_does_not_run_on(wire: Wire) -> None:
    """pygls bug 5."""
    ended = []

    async def command(_params: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    wire.protocol.register(types.WORKSPACE_EXECUTE_COMMAND, command)
    wire.receive(id=1, method=types.WORKSPACE_EXECUTE_COMMAND, params={"command": "x"})
    await asyncio.sleep(0)
    wire.receive(method="$/cancelRequest", params={"id": 1})
    await asyncio.sleep(0)
    assert ended == [1]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_failing_handler_is_answered_and_tells_no_values(wire: Wire, is_async: bool) -> None:
    def fail(_params: object) -> None:
        raise ValueError("secret text")

    async def fail_later(_params: object) -> None:
        fail(None)

    wire.protocol.register(METHOD, fail_later if is_async else fail)
    wire.receive(id=1, method=METHOD, params=PARAMS)
    for _ in range(3):
        await asyncio.sleep(0)
    (reply,) = wire.replies(1)
    assert reply["error"]["code"] == -32603
    assert "secret" not in json.dumps(wire.sent)


async def test_undecodable_params_are_named_but_not_shown(wire: Wire) -> None:
    """pygls bug 3."""
    context = {"triggerKind": 1}
    position = {"line": "secret", "character": 0}
    params = {"textDocument": {"uri": "secret"}, "position": position, "context": context}
    wire.receive(id=1, method="textDocument/inlineCompletion", params=params)
    (reply,) = wire.replies(1)
    assert reply["error"]["code"] == -32602
    assert "position" in reply["error"]["message"]
    assert "secret" not in reply["error"]["message"]


async def test_the_arrival_instant_is_that_of_the_message(wire: Wire) -> None:
    seen = []
    wire.protocol.register(METHOD, lambda _params: seen.append(wire.protocol.arrived_at))
    wire.receive(id=1, method=METHOD, params=PARAMS)
    assert seen == [1.5]


async def test_replies_to_requests_of_ours(wire: Wire) -> None:
    params = types.ConfigurationParams(items=[])
    good = wire.protocol.send_request_async("workspace/configuration", params)
    refused = wire.protocol.send_request_async("workspace/configuration", params)
    odd = wire.protocol.send_request_async("workspace/configuration", params)
    given_up = wire.protocol.send_request_async("workspace/configuration", params)
    given_up.cancel()
    await asyncio.sleep(0)
    ids = [message["id"] for message in wire.sent]
    wire.receive(id=ids[0], result=[{"a": 1}, None])
    wire.receive(id=ids[1], error={"code": 1, "message": "no"})
    wire.receive(id=ids[2], error="nonsense")
    wire.receive(id=ids[3], result=[])
    assert list(await good) == [{"a": 1}, None]
    for future in (refused, odd):
        with pytest.raises(Exception, match=r"no|malformed"):
            await future
    assert wire.protocol.num_unanswered_by_client == 0


async def test_shutdown_cancels_what_runs_and_answers_it(wire: Wire) -> None:
    """pygls bug 4."""

    async def wait(_params: object) -> None:
        await asyncio.Event().wait()

    wire.protocol.register(METHOD, wait)
    for number in range(1, 6):
        wire.receive(id=number, method=METHOD, params=PARAMS)
    await asyncio.sleep(0)
    wire.receive(id=9, method="shutdown")
    assert [reply["id"] for reply in wire.sent] == [1, 2, 3, 4, 5, 9]
    assert wire.sent[-1] == {"jsonrpc": "2.0", "id": 9, "result": None}
    assert wire.protocol.exit_code == 0
