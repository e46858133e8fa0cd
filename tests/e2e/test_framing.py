"""Bytes that no client should send, between messages that must still be answered."""

from __future__ import annotations

import json
import random

import pytest
from lsprotocol import types

from completion_server.lsp.stdio import MAX_MESSAGE_BYTES
from tests.support.raw_client import RawClient, frame


def assert_alive(client: RawClient) -> None:
    client.open("x", "file:///alive.py")
    assert client.items(client.ask(uri="file:///alive.py")) == ["fake_completion()"]


def null_id_codes(client: RawClient) -> list[int]:
    client.sync()
    return [reply["error"]["code"] for reply in client.replies.get(None, [])]


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (b"{", [-32700]),
        (b"\xff\xfe\x00{}", [-32700]),
        (b'"\x80"', [-32700]),
        (b"[" * 100_000, [-32700]),
        (b"1" * 10_000, [-32700]),
        (b"{} {}", [-32700]),
        (b"null", [-32600]),
        (b"3", [-32600]),
        (b"[]", [-32600]),
        (b"{}", [-32600]),
        (b'{"jsonrpc":"2.0"}', [-32600]),
        (b'{"jsonrpc":"1.0","method":"shutdown"}', [-32600]),
        (b'{"jsonrpc":"2.0","method":3}', [-32600]),
        (b'{"jsonrpc":"2.0","id":null,"method":"shutdown"}', [-32600]),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"shutdown"}', [-32600]),
        (b'{"jsonrpc":"2.0","id":true,"method":"shutdown"}', [-32600]),
        (b'{"jsonrpc":"2.0","id":{},"method":"shutdown"}', [-32600]),
        (b'{"jsonrpc":"2.0","id":"unknown","result":{}}', []),
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}', []),
        (b'{"jsonrpc":"2.0","id":[],"error":3}', []),
        (b'{"jsonrpc":"2.0","method":"no/such/notification","params":3}', []),
        (b'{"jsonrpc":"2.0","method":"$/unknown"}', []),
        (b'{"jsonrpc":"2.0","method":"$/cancelRequest"}', []),
        (b'{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":null}}', []),
        (b'{"jsonrpc":"2.0","method":"textDocument/didChange","params":[1]}', []),
    ],
)
def test_bodies_that_are_no_messages(client: RawClient, body: bytes, codes: list[int]) -> None:
    client.send_body(body)
    assert null_id_codes(client) == codes
    assert_alive(client)
    assert client.leave() == 0
    assert [n for n in client.notifications if n["method"] == "window/showMessage"] == []


def test_batches_are_refused_request_by_request(client: RawClient) -> None:
    request = {"jsonrpc": "2.0", "method": "shutdown"}
    client.send([{**request, "id": "a"}, {**request, "id": "b"}, request, 3])
    assert client.error_code("a") == -32600
    assert client.error_code("b") == -32600
    assert_alive(client)


def test_an_id_in_use_is_refused(client: RawClient) -> None:
    client.open("WAIT")
    client.ask(request_id=7)
    client.wait_until_running()
    client.ask(request_id=7)
    assert client.error_code(7) == -32600
    client.notify("$/cancelRequest", {"id": 7})
    client.wait_until_idle()
    assert [reply["error"]["code"] for reply in client.replies[7]] == [-32600, -32800]


def test_unknown_requests_are_answered_32601(client: RawClient) -> None:
    for method in (
        "no/such/method",
        "textDocument/hover",
        "",
        "textDocument/didOpen/x",
        types.WORKSPACE_CONFIGURATION,
    ):
        assert client.error_code(client.start(method, {})) == -32601
    assert client.leave() == 0


def test_headers_of_other_spelling_and_order(client: RawClient) -> None:
    body = b'{"jsonrpc":"2.0","id":"h","method":"no/such"}'
    client.send_bytes(
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\ncontent-LENGTH:%d\r\nX: y\r\n\r\n" % len(body)
        + body
    )
    assert client.error_code("h") == -32601


def test_a_message_split_over_many_writes(client: RawClient) -> None:
    for byte in frame({"jsonrpc": "2.0", "id": "split", "method": "no/such"}):
        client.send_bytes(bytes([byte]))
    assert client.error_code("split") == -32601


def test_a_length_that_is_too_small(client: RawClient) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"no/such","params":{"text":"long enough"}}'
    client.send_bytes(b"Content-Length: %d\r\n\r\n" % (len(body) - 20) + body)
    assert_alive(client)
    assert null_id_codes(client) == [-32700]


def test_a_length_that_is_too_large_costs_what_follows_and_no_more(client: RawClient) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"no/such"}'
    client.send_bytes(b"Content-Length: %d\r\n\r\n" % (len(body) + 10) + body)
    client.start("no/such", request_id="swallowed")
    assert_alive(client)


@pytest.mark.parametrize("length", [b"-5", b"abc", b"", b"1e3", b"9" * 40, b"0x10"])
def test_a_length_that_is_no_number(client: RawClient, length: bytes) -> None:
    client.send_bytes(b"Content-Length: " + length + b'\r\n\r\n{"jsonrpc":"2.0"}')
    assert_alive(client)


def test_an_empty_body(client: RawClient) -> None:
    client.send_bytes(b"Content-Length: 0\r\n\r\n")
    assert null_id_codes(client) == [-32700]
    assert_alive(client)


def test_a_huge_length_is_not_reserved(client: RawClient) -> None:
    """The bytes of a message over the limit are passed over; here the stream ends within them."""
    client.send_bytes(b"Content-Length: %d\r\n\r\n" % (MAX_MESSAGE_BYTES + 1))
    client.send_bytes(b" " * 100_000)
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.wait_for_exit() == 1


def test_a_large_document(client: RawClient) -> None:
    text = "value = 1  # 😋\n" * 100_000
    client.open(text)
    assert client.items(client.ask(99_999)) == ["fake_completion()"]
    assert client.status(documents=True)["documents"][0]["numLines"] == 100_001


def test_garbage_between_valid_messages(client: RawClient) -> None:
    generator = random.Random(11)
    client.open("x", "file:///fuzz.py")
    for number in range(300):
        kind = number % 4
        if kind == 0:
            client.send_bytes(
                bytes(generator.choices(b"abc{}:\r\n \xff\x00", k=generator.randrange(40))) + b"\r\n"
            )
        elif kind == 1:
            client.send_body(bytes(generator.choices(b'{}[]",:1a\\', k=generator.randrange(1, 30))))
        elif kind == 2:
            client.send(_random_value(generator, 4))
        else:
            method = generator.choice(
                ["textDocument/didChange", "textDocument/didOpen", "$/cancelRequest", "initialized"]
            )
            client.notify(method, _random_value(generator, 3))
        request = client.ask(uri="file:///fuzz.py", request_id=f"f{number}")
        assert client.items(request) == ["fake_completion()"], number
    assert client.leave() == 0
    assert [n for n in client.notifications if n["method"] == "window/showMessage"] == []


def _random_value(generator: random.Random, depth: int) -> object:
    names = ("jsonrpc", "params", "textDocument", "contentChanges", "uri", "text", "version", "range", "start")
    kind = generator.randrange(6 if depth else 4)
    if kind == 4:
        return [_random_value(generator, depth - 1) for _ in range(generator.randrange(4))]
    if kind == 5:
        return {
            generator.choice(names): _random_value(generator, depth - 1) for _ in range(generator.randrange(4))
        }
    return generator.choice([None, True, -1, 3, 2.5, "file:///fuzz.py", "2.0", json.dumps("\ud800")])
