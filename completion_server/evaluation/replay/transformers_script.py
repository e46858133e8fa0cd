"""transformers' ``generate`` as a peer: no cache between requests, no cancellation, what a script would do."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from completion_server.document import Document, Position
from completion_server.evaluation.replay.child import ChildProcess, started_child
from completion_server.evaluation.replay.peer import Answer, PromptLimits, Totals, Usage
from completion_server.prompt.budget import prefix_window
from completion_server.request import TriggerKind
from completion_server.tokenizer import Tokenizer
from completion_server.trigger import CompletionMode, decide_trigger

_CHILD = "completion_server.evaluation.replay.transformers_child"


class TransformersScript:
    """A ``Peer`` that continues the prefix. Line mode ends at a token with a line end, as a script can do it."""

    def __init__(self, child: ChildProcess, tokenizer: Tokenizer, limits: PromptLimits) -> None:
        self._child = child
        self._tokenizer = tokenizer
        self._limits = limits
        self._stop_token_ids = sorted(tokenizer.special_token_ids)
        self._line_end_token_ids = [
            token_id for token_id in range(tokenizer.vocab_size) if b"\n" in tokenizer.token_bytes(token_id)
        ]
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[list[int]]] = {}
        self._num_prefilled = self._num_generated = 0

    @property
    def name(self) -> str:
        return "transformers"

    @property
    def pid(self) -> int:
        return self._child.pid

    async def open(self, document: Document) -> None:
        """Nothing to do: every request brings its text."""

    def change(self, start: Position, end: Position, text: str) -> None:
        """Nothing to do: every request brings its text."""

    async def ask(self, document: Document, position: Position, usage: Usage) -> Answer:
        began = time.perf_counter()
        usage.is_known = True
        mode = decide_trigger(document, position, TriggerKind.AUTOMATIC).mode
        if mode is CompletionMode.NONE:
            usage.finish_reason = "skipped"
            return Answer("", time.perf_counter())
        window = prefix_window(document, position, self._limits.max_prefix_tokens, self._tokenizer.encode)
        token_ids = window.token_ids or self._tokenizer.encode("\n")
        usage.num_prompt_tokens = usage.num_prefilled_tokens = len(token_ids)
        stops = self._stop_token_ids + (self._line_end_token_ids if mode is CompletionMode.LINE else [])
        sent_at = time.perf_counter()
        generated = await self._generate(token_ids, stops)
        received_at = time.perf_counter()
        usage.num_generated_tokens = usage.num_passes = len(generated)
        usage.finish_reason = "length" if len(generated) == self._limits.max_new_tokens else "stop"
        special = set(self._stop_token_ids)
        text = self._tokenizer.decode([token_id for token_id in generated if token_id not in special])
        text = text.split("\n" if mode is CompletionMode.LINE else "\n\n", 1)[0]
        return Answer(text if text.strip() else "", received_at, sent_at - began)

    async def explain(self, usage: Usage) -> None:
        """Nothing to do."""

    async def totals(self) -> Totals:
        return Totals(self._num_generated, self._num_prefilled, self._num_generated)

    async def is_idle(self) -> bool:
        return not self._waiting

    async def read_answers(self) -> None:
        """Hand answers out as they come; runs beside the requests."""
        while True:
            answer = await self._child.receive()
            self._num_prefilled += answer["num_prompt_tokens"]
            self._num_generated += len(answer["token_ids"])
            for number in [number for number in self._waiting if number <= answer["id"]]:
                future = self._waiting.pop(number)
                if number == answer["id"] and not future.done():
                    future.set_result(answer["token_ids"])

    async def _generate(self, token_ids: list[int], stop_token_ids: list[int]) -> list[int]:
        number = next(self._ids)
        future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._child.send(
            {
                "id": number,
                "token_ids": token_ids,
                "max_new_tokens": self._limits.max_new_tokens,
                "stop_token_ids": stop_token_ids,
            }
        )
        return await future


@asynccontextmanager
async def started_transformers(
    directory: Path, num_threads: int, tokenizer: Tokenizer, limits: PromptLimits
) -> AsyncIterator[TransformersScript]:
    """transformers with the model in ``directory`` loaded in float32."""
    async with started_child(_CHILD, [str(directory), str(num_threads)]) as child:
        peer = TransformersScript(child, tokenizer, limits)
        reading = asyncio.ensure_future(peer.read_answers())
        try:
            yield peer
        finally:
            reading.cancel()
            await asyncio.wait({reading})
