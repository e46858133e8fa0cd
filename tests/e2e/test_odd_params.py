"""Every method with every part of its params replaced by something odd: the right answer and no traceback."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.raw_client import URI, RawClient, inline_params

INTERNAL_ERROR = -32603
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**53, -(2**63), 10**40, 0.5, -0.0, 1e308, math.nan, math.inf, "", "x",
    "1", "\0", "\ud800", "file:///", "file://[", "http://[::1", "untitled:x", "%ff", "x" * 5000, [], [1], [[]],
    ["x"], [None], {}, {"id": 1}, {"uri": []}, {"": {}}, {"line": 0, "character": 0}, [{}] * 3,
]  # fmt: skip
PLACE = {"line": 0, "character": 1}
RANGE = {"start": PLACE, "end": PLACE}
DOCUMENT = {"uri": URI, "version": 2}
ITEM = {"insertText": "x", "command": {"title": "", "command": "x", "arguments": ["key", 0]}}
REQUESTS: dict[str, Any] = {
    "textDocument/inlineCompletion": {
        **inline_params(0, 1),
        "context": {"triggerKind": 1, "selectedCompletionInfo": {"range": RANGE, "text": "x"}},
    },
    "workspace/executeCommand": {
        "command": "completionServer.explain",
        "arguments": [{"uri": URI}],
        "workDoneToken": 1,
    },
    "initialize": {"processId": None, "rootUri": None, "capabilities": {}, "workspaceFolders": None},
    "unknown/method": {"x": 1},
}
COMMANDS = ("status", "pause", "resume", "explain", "clearCaches", "accepted")
NOTIFICATIONS: dict[str, Any] = {
    "$/cancelRequest": {"id": 4711},
    "$/setTrace": {"value": "off"},
    "$/progress": {"token": 1, "value": 1},
    "$/unknown": {"x": 1},
    "window/workDoneProgress/cancel": {"token": 1},
    "workspace/didChangeConfiguration": {"settings": {"completionServer": {"model": {"numThreads": 1}}}},
    "workspace/didChangeWatchedFiles": {"changes": [{"uri": URI, "type": 1}]},
    "workspace/didChangeWorkspaceFolders": {
        "event": {"added": [{"uri": "file:///a", "name": "a"}], "removed": [{"uri": "file:///b", "name": "b"}]}
    },
    "textDocument/didOpen": {
        "textDocument": {"uri": "file:///other.py", "languageId": "python", "version": 1, "text": "x"}
    },
    "textDocument/didChange": {"textDocument": DOCUMENT, "contentChanges": [{"range": RANGE, "text": "y"}]},
    "textDocument/didSave": {"textDocument": {"uri": URI}, "text": "x"},
    "textDocument/didClose": {"textDocument": {"uri": "file:///other.py"}},
    "textDocument/didShowCompletion": {"item": ITEM},
    "textDocument/didPartiallyAcceptCompletion": {"item": ITEM, "acceptedLength": 1},
    "textDocument/didRejectCompletion": {"item": ITEM},
    "initialized": {},
}


def variants(value: Any) -> Iterator[Any]:
    """``value`` with each of its parts replaced by each odd value, and with each key left out."""
    yield from ODD
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {name: other for name, other in value.items() if name != key}
            for each in variants(inner):
                yield {**value, key: each}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for each in variants(inner):
                yield [*value[:index], each, *value[index + 1 :]]


@pytest.fixture(scope="module")
def odd() -> Iterator[RawClient]:
    with RawClient() as client:
        client.ready()
        yield client


def check(client: RawClient, requests: list[Any]) -> None:
    """Each of ``requests`` has one reply, which blames the client; the server still serves, and nothing failed."""
    for request_id in requests:
        reply = client.reply(request_id)
        assert reply.get("error", {}).get("code") != INTERNAL_ERROR, reply
    client.command("resume")
    client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
    client.open("x = 1\n")
    assert client.items(client.ask(0, 5))
    said, client.stderr = client.stderr, ""
    assert "Traceback" not in said, said[-3000:]
    assert " failed" not in said, said[-3000:]


@pytest.mark.parametrize("method", REQUESTS)
def test_a_request(odd: RawClient, method: str) -> None:
    check(odd, [odd.start(method, params) for params in variants(REQUESTS[method])])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command(odd: RawClient, name: str) -> None:
    asked = [
        {"command": f"completionServer.{name}", "arguments": [each]} for each in ODD if each != {"wait": True}
    ]
    asked += [{"command": f"completionServer.{name}", "arguments": [each, each]} for each in ODD]
    check(odd, [odd.start("workspace/executeCommand", params) for params in asked])


@pytest.mark.parametrize("method", NOTIFICATIONS)
def test_a_notification(odd: RawClient, method: str) -> None:
    odd.open("x = 1\n")
    for params in variants(NOTIFICATIONS[method]):
        odd.notify(method, params)
    check(odd, [])


@pytest.mark.parametrize("method", ["$/cancelRequest", "textDocument/inlineCompletion", "textDocument/didOpen"])
def test_no_params_at_all(odd: RawClient, method: str) -> None:
    odd.send({"jsonrpc": "2.0", "method": method})
    odd.send({"jsonrpc": "2.0", "method": method, "id": "none"})
    assert "error" in odd.reply("none")
    del odd.replies["none"]
    check(odd, [])


@pytest.mark.parametrize("other", [True, 7.0, [7], {"id": 7}, "7", None])
def test_an_id_that_is_none_cancels_nothing(odd: RawClient, other: Any) -> None:
    """In Python 1, 1.0 and True are the same key."""
    request_id = 1 if other is True else 7
    odd.replies.pop(request_id, None)
    asked = odd.start("workspace/executeCommand", {"command": "completionServer.clearCaches"}, request_id)
    odd.notify("$/cancelRequest", {"id": other})
    assert odd.reply(asked)["result"] == {"cleared": True}


@pytest.mark.parametrize("odd_id", [None, True, 1.5, [], [1], {}, {"id": 1}, math.nan, 10**30, "", "x" * 100_000])
def test_an_odd_id(odd: RawClient, odd_id: Any) -> None:
    odd.replies.pop(None, None)
    odd.send({"jsonrpc": "2.0", "id": odd_id, "method": "workspace/executeCommand", "params": {"command": "x"}})
    is_id = isinstance(odd_id, str) or (isinstance(odd_id, int) and odd_id is not True)
    assert odd.reply(odd_id if is_id else None)["error"]["code"] in {-32600, -32602}
    odd.send({"jsonrpc": "2.0", "id": odd_id, "result": odd_id})
    odd.send({"jsonrpc": "2.0", "id": odd_id, "error": odd_id})
    check(odd, [])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def damaged(draw: st.DrawFn, value: Any) -> Any:
    """``value`` with up to three of its parts replaced."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        place, parent, key = value, None, None
        while isinstance(place, dict | list) and place and draw(st.integers(0, 4)):
            keys = list(place) if isinstance(place, dict) else range(len(place))
            parent, key = place, draw(st.sampled_from(list(keys)))
            place = parent[key]
        odd_value = copy.deepcopy(draw(json_values))
        if parent is None:
            value = odd_value
        else:
            parent[key] = odd_value
    return value


@given(st.data())
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_json(odd: RawClient, data: st.DataObject) -> None:
    requests = []
    for _ in range(20):
        table = data.draw(st.sampled_from([REQUESTS, NOTIFICATIONS]))
        method = data.draw(st.sampled_from(sorted(table)))
        params = data.draw(damaged(table[method]))
        if params == {"command": "completionServer.status", "arguments": [{"wait": True}]}:
            continue
        if table is REQUESTS:
            requests.append(odd.start(method, params))
        else:
            odd.notify(method, params)
    check(odd, requests)
