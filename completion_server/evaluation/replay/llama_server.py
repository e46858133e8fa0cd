"""llama.cpp's own server as a peer: ``/infill`` with the suffix, or ``/completion`` on the prefix alone."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from completion_server.document import Document, Position
from completion_server.errors import CompletionServerError
from completion_server.evaluation.replay.child import started_child
from completion_server.evaluation.replay.http_stream import fetch_text, stream_lines
from completion_server.evaluation.replay.peer import Answer, PromptLimits, Totals, Usage
from completion_server.llama.child import LLAMA_CHILD, LlamaOptions
from completion_server.prompt.budget import prefix_window, suffix_window
from completion_server.request import TriggerKind
from completion_server.trigger import CompletionMode, decide_trigger

Endpoint = Literal["infill", "completion"]
Encode = Callable[[str], list[int]]

_NUM_CONTEXT = 4096
_STOPS = {CompletionMode.LINE: ["\n"], CompletionMode.BLOCK: ["\n\n"]}


class LlamaServer:
    """A ``Peer`` over a running llama.cpp server.

    Asked at the same places as ours, with the same windows of text, so that both sides have the same work.
    ``n_cache_reuse`` is not set: it shifts cached tokens when some before them were removed, but typing adds some,
    so in ``/infill`` the suffix is computed anew all the same (tried: the same number of tokens per key).
    """

    def __init__(self, address: str, pid: int, endpoint: Endpoint, encode: Encode, limits: PromptLimits) -> None:
        self._address = address
        self._pid = pid
        self._endpoint = endpoint
        self._encode = encode
        self._limits = limits
        self._num_prefilled = 0
        self._num_generated = 0

    @property
    def name(self) -> str:
        return f"llama-{self._endpoint}"

    @property
    def pid(self) -> int:
        return self._pid

    async def open(self, document: Document) -> None:
        """Nothing to do: every request brings its text."""

    def change(self, start: Position, end: Position, text: str) -> None:
        """Nothing to do: every request brings its text."""

    async def ask(self, document: Document, position: Position, usage: Usage) -> Answer:
        began = time.perf_counter()
        usage.is_known = True
        trigger = decide_trigger(document, position, TriggerKind.AUTOMATIC)
        if trigger.mode is CompletionMode.NONE:
            usage.finish_reason = "skipped"
            return Answer("", time.perf_counter())
        body = self._body(document, position, _STOPS[trigger.mode])
        sent_at = time.perf_counter()
        try:
            text = await self._stream(body, usage, sent_at)
        finally:
            self._num_prefilled += usage.num_prefilled_tokens
            self._num_generated += usage.num_generated_tokens
        received_at = time.perf_counter()
        return Answer(text if text.strip() else "", received_at, sent_at - began)

    async def explain(self, usage: Usage) -> None:
        """Nothing to do: the stream has told it."""

    async def totals(self) -> Totals:
        metrics = read_metrics(await fetch_text(self._address, "/metrics"))
        return Totals(int(metrics.get("n_decode_total", 0)), self._num_prefilled, self._num_generated)

    async def is_idle(self) -> bool:
        slots = json.loads(await fetch_text(self._address, "/slots"))
        return not any(slot.get("is_processing") for slot in slots)

    def _body(self, document: Document, position: Position, stops: list[str]) -> dict[str, Any]:
        limits = self._limits
        # Token ids on the wire: the same tokens as on our side, and user text is never read as a control token.
        prefix = prefix_window(document, position, limits.max_prefix_tokens, self._encode).token_ids
        common = {
            "n_predict": limits.max_new_tokens,
            "temperature": 0.0,
            "samplers": ["temperature"],
            "stop": stops,
            "stream": True,
            "cache_prompt": True,
            "timings_per_token": True,
            "return_progress": True,
        }
        if self._endpoint == "completion":
            return {"prompt": prefix, **common}
        suffix = suffix_window(document, position, limits.max_suffix_tokens, self._encode).token_ids
        return {"input_prefix": prefix, "input_suffix": suffix, "prompt": "", **common}

    async def _stream(self, body: Mapping[str, Any], usage: Usage, sent_at: float) -> str:
        text = ""
        async with aclosing(stream_lines(self._address, f"/{self._endpoint}", body)) as lines:
            async for line in lines:
                if not line.startswith("data: "):
                    continue
                event = json.loads(line[len("data: ") :])
                fill_usage(usage, event)
                text += str(event.get("content") or "")
                if text and usage.first_text_ms is None:
                    usage.first_text_ms = (time.perf_counter() - sent_at) * 1000
                if event.get("stop"):
                    return text
        raise CompletionServerError("llama.cpp's server ended an answer without its end")


def fill_usage(usage: Usage, event: Mapping[str, Any]) -> None:
    """Take over the counters that come with one event of the stream."""
    timings, progress = event.get("timings") or {}, event.get("prompt_progress") or {}
    usage.num_cached_tokens = int(timings.get("cache_n") or progress.get("cache") or 0)
    processed = int(progress.get("processed", 0)) - usage.num_cached_tokens
    usage.num_prefilled_tokens = max(int(timings.get("prompt_n", 0)), processed, usage.num_prefilled_tokens)
    usage.num_generated_tokens = max(int(timings.get("predicted_n", 0)), usage.num_generated_tokens)
    usage.num_passes = usage.num_generated_tokens
    usage.num_prompt_tokens = usage.num_cached_tokens + usage.num_prefilled_tokens
    if event.get("stop"):
        usage.finish_reason = {"limit": "length"}.get(str(event.get("stop_type")), "stop")


def read_metrics(text: str) -> dict[str, float]:
    """Counters by their names without the prefix, from the text that Prometheus reads."""
    metrics: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("llamacpp:"):
            metrics[name.removeprefix("llamacpp:")] = float(value)
    return metrics


@asynccontextmanager
async def started_llama_server(
    gguf: Path, endpoint: Endpoint, num_threads: int, encode: Encode, limits: PromptLimits
) -> AsyncIterator[LlamaServer]:
    """llama.cpp's server with ``gguf`` loaded. Raises CompletionServerError when it cannot serve."""
    options = LlamaOptions(str(gguf), num_threads, _NUM_CONTEXT, has_diagnostics=True)
    async with started_child(LLAMA_CHILD, [options.to_argument()]) as child:
        address = str(child.greeting["address"])
        await _check(address, endpoint)
        yield LlamaServer(address, child.pid, endpoint, encode, limits)


async def _check(address: str, endpoint: Endpoint) -> None:
    """One small request: the endpoint may not be supported by the model, and first requests are slow."""
    body: dict[str, Any] = {"n_predict": 1, "stream": False}
    body |= {"prompt": "x"} if endpoint == "completion" else {"input_prefix": "x", "input_suffix": "y"}
    await fetch_text(address, f"/{endpoint}", body)
