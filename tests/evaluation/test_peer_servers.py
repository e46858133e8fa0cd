"""The adapters to other servers: a scripted HTTP server, and llama.cpp's own where its package is installed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from completion_server.catalog.gguf_convert import convert_gguf
from completion_server.config import load_settings
from completion_server.document import Document, Position
from completion_server.errors import CompletionServerError
from completion_server.evaluation.replay.child import started_child
from completion_server.evaluation.replay.http_stream import fetch_text, stream_lines
from completion_server.evaluation.replay.llama_server import (
    LlamaServer,
    fill_usage,
    read_metrics,
    started_llama_server,
)
from completion_server.evaluation.replay.own_server import (
    editor_options,
    read_totals,
)
from completion_server.evaluation.replay.own_server import (
    fill_usage as fill_own_usage,
)
from completion_server.evaluation.replay.peer import PromptLimits, Totals, Usage
from completion_server.evaluation.replay.peer_model import ensure_gguf
from completion_server.evaluation.replay.transformers_script import started_transformers
from completion_server.tokenizer import Tokenizer
from tests.catalog.gguf_samples import write_tiny_llama

LIMITS = PromptLimits(max_prefix_tokens=40, max_suffix_tokens=16, max_new_tokens=6)
DOCUMENT = Document.from_text("def add(a, b):\n    total = a\n    return total\n", uri="file:///a.py")
INSIDE_LINE, INSIDE_WORD, AFTER_COLON = Position(1, 13), Position(1, 6), Position(0, 14)
Handle = Callable[[str, Any, asyncio.StreamWriter], Awaitable[None]]


def characters(text: str) -> list[int]:
    return [ord(character) for character in text]


def text(token_ids: list[int]) -> str:
    return "".join(map(chr, token_ids))


@asynccontextmanager
async def http_server(handle: Handle) -> AsyncIterator[str]:
    """Calls ``handle`` with path, body and writer of every request; yields the address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("Content-Length:")), 0)
        body = json.loads(await reader.readexactly(length)) if length else None
        try:
            await handle(head.split()[1], body, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
        await server.wait_closed()


def chunk(text: str) -> bytes:
    data = text.encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(content: str, num_predicted: int, **more: object) -> str:
    timings = {"cache_n": 30, "prompt_n": 2, "predicted_n": num_predicted}
    return "data: " + json.dumps({"content": content, "timings": timings, **more}) + "\n\n"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_an_answer_is_read_line_by_line_however_it_is_cut() -> None:
    async def handle(_path: str, _body: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + chunk("one\nt") + chunk("wo\r\nthr") + chunk("ee") + b"0\r\n\r\n")

    async with http_server(handle) as address:
        assert [line async for line in stream_lines(address, "/")] == ["one", "two", "three"]


async def test_a_bad_status_is_an_error_with_the_servers_words() -> None:
    async def handle(path: str, _body: Any, writer: asyncio.StreamWriter) -> None:
        if path == "/empty":
            return
        writer.write(b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 11\r\n\r\nno infill\r\n")

    async with http_server(handle) as address:
        with pytest.raises(CompletionServerError, match="status 501: no infill"):
            await fetch_text(address, "/infill", {})
        with pytest.raises(CompletionServerError, match="closed the connection"):
            await fetch_text(address, "/empty")


async def test_infill_shows_both_windows_and_takes_the_counters() -> None:
    bodies: list[Any] = []

    async def handle(path: str, body: Any, writer: asyncio.StreamWriter) -> None:
        bodies.append((path, body))
        writer.write(CHUNKED + chunk(event(" +", 1)) + chunk(event(" b", 2)))
        writer.write(chunk(event("", 3, stop=True, stop_type="word")) + b"0\r\n\r\n")

    async with http_server(handle) as address:
        peer = LlamaServer(address, 1, "infill", characters, LIMITS)
        usage = Usage()
        answer = await peer.ask(DOCUMENT, INSIDE_LINE, usage)
        assert (await peer.ask(DOCUMENT, INSIDE_WORD, Usage())).text == ""
    assert answer.text == " + b"
    assert (usage.num_cached_tokens, usage.num_prefilled_tokens, usage.num_generated_tokens) == (30, 2, 3)
    assert (usage.finish_reason, usage.num_prompt_tokens) == ("stop", 32)
    assert usage.first_text_ms is not None
    ((path, body),) = bodies
    assert path == "/infill"
    assert text(body["input_prefix"]).endswith("total = a")
    assert text(body["input_suffix"]) == "\n    return tota"
    assert (body["n_predict"], body["stop"], body["prompt"]) == (6, ["\n"], "")


async def test_a_request_that_is_given_up_closes_the_connection_and_has_its_cost() -> None:
    was_closed, has_begun = asyncio.Event(), asyncio.Event()

    async def handle(path: str, _body: Any, writer: asyncio.StreamWriter) -> None:
        if path == "/metrics":
            text = "# HELP llamacpp:n_decode_total calls\nllamacpp:n_decode_total 7\n"
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
            return
        writer.write(CHUNKED + chunk(event("x", 2)))
        await writer.drain()
        has_begun.set()
        while not writer.transport.is_closing():
            await asyncio.sleep(0)
            writer.write(chunk("\n"))
        was_closed.set()

    async with http_server(handle) as address:
        peer = LlamaServer(address, 1, "completion", characters, LIMITS)
        usage = Usage()
        asking = asyncio.ensure_future(peer.ask(DOCUMENT, AFTER_COLON, usage))
        await has_begun.wait()
        while not usage.num_generated_tokens:
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        await was_closed.wait()
        assert asking.cancelled()
        assert await peer.totals() == Totals(7, 2, 2)


def test_progress_of_the_prompt_counts_before_the_first_token() -> None:
    usage = Usage()
    fill_usage(usage, {"prompt_progress": {"total": 90, "cache": 20, "processed": 52}, "timings": {"cache_n": 20}})
    assert (usage.num_prefilled_tokens, usage.num_cached_tokens) == (32, 20)
    assert read_metrics("llamacpp:a 1\nother:b 2\n# llamacpp:c 3") == {"a": 1.0}


def test_our_explanation_becomes_usage() -> None:
    usage = Usage()
    fill_own_usage(usage, {"num_prefilled_tokens": 3, "num_decode_passes": 2, "from_completion_cache": True})
    assert (usage.num_prefilled_tokens, usage.num_passes, usage.is_remembered, usage.is_known) == (
        3,
        2,
        True,
        True,
    )
    totals = {"num_forward_passes": 5, "num_prefilled_tokens": 6, "num_generated_tokens": 7}
    assert read_totals({"model": {"totals": totals}}) == Totals(5, 6, 7)
    assert read_totals({"model": {}}) is None


def test_our_server_sees_as_much_as_its_peers() -> None:
    loaded = load_settings(None, editor_options(PromptLimits(), 2, timeout_ms=900), {})
    settings = loaded.settings
    assert not loaded.warnings
    assert (settings.context.max_prompt_tokens, settings.context.max_suffix_tokens) == (1024, 256)
    assert settings.generation.automatic_max_tokens == 16
    assert (settings.model.num_threads, settings.latency.automatic_timeout_ms) == (2, 900)


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed")
@pytest.mark.parametrize("endpoint", ["infill", "completion"])
async def test_the_real_llama_server_answers(tmp_path: Path, endpoint: Any) -> None:
    write_tiny_llama(tmp_path / "tiny.gguf")
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    gguf = ensure_gguf(tmp_path / "model", tmp_path / "work")
    encode = Tokenizer.from_directory(tmp_path / "model").encode
    async with started_llama_server(gguf, endpoint, 1, encode, LIMITS) as peer:
        first, second = Usage(), Usage()
        await peer.ask(DOCUMENT, INSIDE_LINE, first)
        await peer.ask(DOCUMENT, INSIDE_LINE, second)
        assert first.num_prefilled_tokens > 10
        assert 1 <= first.num_generated_tokens <= LIMITS.max_new_tokens
        assert second.num_cached_tokens >= first.num_prefilled_tokens - 1
        totals = await peer.totals()
        assert totals.num_passes >= 2
        assert totals.num_prefilled_tokens == first.num_prefilled_tokens + second.num_prefilled_tokens
        assert await peer.is_idle()


async def test_transformers_answers_the_newest(tmp_path: Path) -> None:
    write_tiny_llama(tmp_path / "tiny.gguf")
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    tokenizer = Tokenizer.from_directory(tmp_path / "model")
    async with started_transformers(tmp_path / "model", 1, tokenizer, LIMITS) as peer:
        usages = [Usage() for _ in range(3)]
        asking = [asyncio.ensure_future(peer.ask(DOCUMENT, AFTER_COLON, usage)) for usage in usages]
        await asking[-1]
        assert usages[-1].num_prefilled_tokens == len(tokenizer.encode("def add(a, b):"))
        assert usages[-1].num_generated_tokens <= LIMITS.max_new_tokens
        assert await peer.is_idle()
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        totals = await peer.totals()
        assert totals.num_generated_tokens >= usages[-1].num_generated_tokens


async def test_a_peer_that_does_not_start_says_why() -> None:
    with pytest.raises(CompletionServerError, match=r"nowhere did not start:\n.*No module named"):
        async with started_child("tests.nowhere", []):
            raise AssertionError("it must not start")
