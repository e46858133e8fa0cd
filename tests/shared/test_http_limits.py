"""What the HTTP side refuses before it costs anything: odd values, long texts, slow and many clients."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from completion_server.config import Settings
from completion_server.engine.engine import Engine
from completion_server.engine_host.host import HostedModel
from completion_server.engine_host.http_limits import HttpLimits
from completion_server.engine_host.http_message import MAX_BODY_BYTES, ExtraFile
from completion_server.engine_host.http_prompt import HttpPrompts
from completion_server.errors import RequestError
from completion_server.tokenizer import StreamingDetokenizer, Tokenizer
from tests.shared.test_http import TOKEN, Service, native_model, serve
from tests.support import tiny_tokenizers
from tests.support.engines import CountingModel
from tests.support.shared_engines import HANG_GUARD_SECONDS

COMPLETION, INFILL = "/v1/completions", "/infill"
PLACE = {"input_prefix": "x", "input_suffix": ""}
DEEP = 200_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    yield from serve(tmp_path_factory.mktemp("run"), tiny_tokenizers.qwen())


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    limits = HttpLimits(max_connections=4, header_seconds=0.5, body_seconds=0.5, idle_seconds=1, read_seconds=0.5)
    yield from serve(tmp_path_factory.mktemp("run"), tiny_tokenizers.qwen(), limits)


def refused(service: Service, path: str, body: bytes, status: int = 400) -> str:
    reply = service.client.post(path, content=body)
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert error["code"] == status
    return str(error["message"])


ODD_VALUES = [
    ("seed", "-1"),
    ("seed", str(-(2**31))),
    ("seed", str(2**63)),
    ("seed", str(2**64)),
    ("seed", "9" * 400),
    ("seed", "9" * 5000),
    ("seed", "1.5"),
    ("seed", '"1"'),
    ("seed", "true"),
    ("seed", "[1]"),
    ("temperature", "NaN"),
    ("temperature", "Infinity"),
    ("temperature", "1e999"),
    ("temperature", "-0.1"),
    ("temperature", "2.01"),
    ("temperature", "null"),
    ("top_p", "0"),
    ("top_p", "1.1"),
    ("top_p", "NaN"),
    ("top_k", "-1"),
    ("top_k", "65537"),
    ("top_k", str(10**30)),
    ("stop", "7"),
    ("stop", "[7]"),
    ("stop", "{}"),
    ("stop", json.dumps("x" * 257)),
    ("stop", json.dumps(["x"] * 17)),
    ("stop", json.dumps(["x", "y" * 257])),
    ("stream", "1"),
    ("stream", '"yes"'),
]
OF_COMPLETION = [
    ("prompt", "null"),
    ("prompt", "7"),
    ("prompt", "{}"),
    ("prompt", "[]"),
    ("prompt", "[1.5]"),
    ("prompt", "[true]"),
    ("prompt", "[-1]"),
    ("prompt", f"[{2**63}]"),
    ("prompt", f"[{10**40}]"),
    ("prompt", '["a", 1]'),
    ("prompt", '[["a"]]'),
    ("prompt", '"\\ud800"'),
    ("prompt", '"\\udfff x"'),
    ("max_tokens", "-1"),
    ("max_tokens", "65537"),
    ("max_tokens", "1e3000"),
    ("n", "0"),
    ("n", "9"),
    ("logprobs", "6"),
    ("logprobs", "true"),
    ("suffix", "7"),
    ("stream_options", "[]"),
    ("echo", "true"),
]
OF_INFILL = [
    ("input_prefix", "7"),
    ("input_suffix", "null"),
    ("input_extra", "{}"),
    ("input_extra", "[7]"),
    ("input_extra", '[{"filename": "a"}]'),
    ("input_extra", '[{"text": 7}]'),
    ("n_predict", "-2"),
    ("n_predict", "0.5"),
    ("n_predict", str(10**30)),
    ("t_max_predict_ms", "-1"),
    ("t_max_predict_ms", "1e300"),
    ("t_max_predict_ms", "NaN"),
    ("prompt", "[]"),
]


def with_value(body: dict[str, Any], name: str, value: str) -> bytes:
    """``value`` is JSON, or not quite."""
    others = [f"{json.dumps(key)}: {json.dumps(each)}" for key, each in body.items() if key != name]
    return "{{{}}}".format(", ".join([*others, f"{json.dumps(name)}: {value}"])).encode()


@pytest.mark.parametrize(("name", "value"), [*ODD_VALUES, *OF_COMPLETION])
def test_an_odd_value_for_a_completion_is_refused(service: Service, name: str, value: str) -> None:
    assert refused(service, COMPLETION, with_value({"prompt": "x", "max_tokens": 1}, name, value))


@pytest.mark.parametrize(("name", "value"), [*ODD_VALUES, *OF_INFILL])
def test_an_odd_value_for_infill_is_refused(service: Service, name: str, value: str) -> None:
    assert refused(service, INFILL, with_value({**PLACE, "n_predict": 1}, name, value))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b'"text"',
        b"\xff\xfe{\x00",
        b'{"prompt": "x", "prompt2": }',
        b"[" * DEEP,
        b'{"a":' * (DEEP // 2),
        b'{"prompt": "x", "more": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"prompt": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"input_prefix": "", "input_suffix": "", "more": ' + b'{"a":' * 100_000 + b"0" + b"}" * 100_001,
    ],
    ids=range(13),
)
@pytest.mark.parametrize("path", [COMPLETION, INFILL])
def test_odd_json_is_refused(service: Service, path: str, body: bytes) -> None:
    assert refused(service, path, body)


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", 0), ("seed", 2**63 - 1), ("seed", None), ("top_k", 65_536), ("max_tokens", 0), ("stop", ["x"] * 16),
     ("stop", ""), ("stop", []), ("temperature", 2), ("prompt", ""), ("prompt", "\0"), ("prompt", "\ufffe")],
)  # fmt: skip
def test_a_value_at_the_bound_is_answered(service: Service, name: str, value: object) -> None:
    asked = {"prompt": "x", "max_tokens": 1, "temperature": 1, name: value}
    assert "choices" in service.post(COMPLETION, **asked)


def test_what_is_too_long_is_413(service: Service) -> None:
    assert "bytes" in refused(service, COMPLETION, b'{"prompt": "' + b"x" * MAX_BODY_BYTES + b'"}', 413)
    assert "characters" in refused(service, COMPLETION, b'{"prompt": "' + b"x" * 100_000 + b'"}', 413)
    assert "tokens" in refused(service, COMPLETION, b'{"prompt": [' + b"1, " * 100_000 + b"1]}", 413)


def test_a_body_that_is_announced_as_too_long_is_413_before_it_comes(impatient: Service) -> None:
    for length in (MAX_BODY_BYTES + 1, 10**9, 10**15):
        assert b" 413 " in exchange(impatient, raw_head(impatient, f"content-length: {length}"))[:20]


class CountingTokenizer:
    """A tokenizer, and how many characters it has been given."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.num_chars = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def encode(self, text: str) -> list[int]:
        self.num_chars += len(text)
        return self._tokenizer.encode(text)


@pytest.mark.parametrize("text", ["x", "x = 1\n", " ", "\n", "<|fim_prefix|>", "日本", "a b "], ids=repr)
def test_no_long_text_is_encoded(text: str) -> None:
    """Encoding costs time by the character, so it is the characters that count."""
    tokenizer = CountingTokenizer(tiny_tokenizers.qwen())
    model = CountingModel(native_model(tokenizer.vocab_size))
    engine = Engine(model, lambda skipped: StreamingDetokenizer(tokenizer, len(skipped)), Settings())  # type: ignore[arg-type]
    prompts = HttpPrompts(HostedModel(engine, tokenizer, "/nowhere", "llama", model.max_context), Settings())
    long = (text * MAX_BODY_BYTES)[:MAX_BODY_BYTES]
    tokenizer.num_chars = 0
    with pytest.raises(RequestError):
        prompts.of_text(long, 8)
    assert tokenizer.num_chars == 0
    prompts.of_place(long, "", [], 8)
    prompts.of_place("", long, [], 8)
    prompts.of_place("x", "y", [ExtraFile(text=long)] * 20, 8)
    prompts.of_place("x", "y", [ExtraFile(text="z", filename=long)], 8)
    assert tokenizer.num_chars < 200 * model.max_context


def raw_head(service: Service, *lines: str) -> bytes:
    host = httpx.URL(service.url)
    head = [
        f"POST {COMPLETION} HTTP/1.1",
        f"Host: {host.host}:{host.port}",
        f"Authorization: Bearer {TOKEN}",
        *lines,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n"


def connected(service: Service) -> socket.socket:
    url = httpx.URL(service.url)
    return socket.create_connection((url.host, url.port or 0), HANG_GUARD_SECONDS)


def exchange(service: Service, sent: bytes) -> bytes:
    """What comes after ``sent``, up to the server's closing; nothing more is sent."""
    with connected(service) as connection:
        connection.sendall(sent)
        return until_closed(connection)


def until_closed(connection: socket.socket) -> bytes:
    received = b""
    try:
        while piece := connection.recv(65_536):
            received += piece
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"P",
        b"POST ",
        b"POST /infill HTTP/1.1\r\n",
        b"POST /infill HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"POST /infill HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 5000,
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /health HT",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_a_request_that_does_not_come_ends_the_connection(impatient: Service, sent: bytes) -> None:
    exchange(impatient, sent)
    assert impatient.client.get("/v1/models").status_code == 200


def test_bytes_one_by_one_do_not_keep_a_connection(impatient: Service) -> None:
    with connected(impatient) as connection:
        connection.settimeout(0.1)
        for _ in range(int(HANG_GUARD_SECONDS / 0.1)):
            try:
                connection.sendall(b"x")
                if connection.recv(100) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    raise AssertionError("the connection is kept")


def test_a_body_that_does_not_come_is_408(impatient: Service) -> None:
    with_length, in_chunks = (
        raw_head(impatient, line) for line in ("content-length: 9", "transfer-encoding: chunked")
    )
    for sent in (with_length, with_length + b'{"prompt', in_chunks, in_chunks + b"5\r\nab"):
        assert exchange(impatient, sent).startswith(b"HTTP/1.1 408"), sent


def test_connections_beyond_the_limit_are_told_so(impatient: Service) -> None:
    with ExitStack() as stack:
        first = [stack.enter_context(connected(impatient)) for _ in range(4)]
        refusals = 0
        while not refusals:  # those of other tests may still be counted at first, and these end in time
            with connected(impatient) as another:
                refusals += until_closed(another).startswith(b"HTTP/1.1 503")
        assert first
    while True:
        try:
            assert impatient.client.get("/v1/models").status_code in {200, 503}
            break
        except httpx.TransportError:
            continue


def test_an_answer_that_is_not_read_ends_the_connection(impatient: Service) -> None:
    """Answers to pipelined requests, until the buffers are full."""
    with connected(impatient) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = httpx.URL(impatient.url)
        request = (
            f"GET /{'x' * 8000} HTTP/1.1\r\nHost: 127.0.0.1:{url.port}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        )
        connection.settimeout(HANG_GUARD_SECONDS)
        with pytest.raises(OSError, match=r"reset|pipe|aborted"):
            connection.sendall(request.encode() * 10_000)
