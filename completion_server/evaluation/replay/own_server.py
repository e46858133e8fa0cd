"""This server as a peer: asked over stdio like by any editor."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any, Protocol

from completion_server.document import Document, Position
from completion_server.evaluation.replay.peer import Answer, PromptLimits, RequestCounts, Totals, Usage
from completion_server.evaluation.typing_session import Reply
from completion_server.request import TriggerKind


class ReplayEditor(Protocol):
    """The part of ``lsp.client.EditorClient`` that is needed here."""

    def open(self, uri: str, text: str, language_id: str = "python") -> None: ...

    def close(self, uri: str) -> None: ...

    def change(self, uri: str, start: Position, end: Position, text: str) -> None: ...

    async def inline_completion(
        self, uri: str, position: Position, trigger: TriggerKind = TriggerKind.AUTOMATIC
    ) -> Reply: ...

    async def execute_command(self, command: str, *arguments: Any) -> Any: ...


class OwnServer:
    """A ``Peer`` over a running server of ours."""

    def __init__(self, editor: ReplayEditor, pid: int, name: str = "ours") -> None:
        self._editor = editor
        self._pid = pid
        self._name = name
        self._uri: str | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def pid(self) -> int:
        return self._pid

    async def open(self, document: Document) -> None:
        if self._uri is not None:
            self._editor.close(self._uri)
        # Sessions share files and prompts: each begins as the first one did.
        await self._editor.execute_command("completionServer.clearCaches")
        self._uri = document.uri
        self._editor.open(document.uri, document.text, document.language_id)

    def change(self, start: Position, end: Position, text: str) -> None:
        assert self._uri is not None
        self._editor.change(self._uri, start, end, text)

    async def ask(self, document: Document, position: Position, usage: Usage) -> Answer:  # noqa: ARG002
        reply = await self._editor.inline_completion(document.uri, position)
        received_at = time.perf_counter()
        # What replaces text after the cursor cannot be taken over by inserting it.
        is_insertion = bool(reply.items) and reply.items[0].start == reply.items[0].end
        return Answer(reply.items[0].text if is_insertion else "", received_at)

    async def explain(self, usage: Usage) -> None:
        trace = await self._editor.execute_command("completionServer.explain", {"uri": self._uri})
        if isinstance(trace, dict):
            fill_usage(usage, trace)

    async def totals(self) -> Totals | None:
        return read_totals(await self._status())

    async def counts(self) -> RequestCounts:
        """What this server has asked of a model server so far. Zeros where it computes itself."""
        model = (await self._status()).get("model")
        totals = model.get("totals") if isinstance(model, dict) else None
        names = (each.name for each in dataclasses.fields(RequestCounts))
        return RequestCounts(*(_number(totals, name) if isinstance(totals, dict) else 0 for name in names))

    async def is_idle(self) -> bool:
        status = await self._status()
        return status.get("running") is None and not status.get("num_pending_jobs")

    async def _status(self) -> Mapping[str, Any]:
        status = await self._editor.execute_command("completionServer.status")
        return status if isinstance(status, dict) else {}


def fill_usage(usage: Usage, trace: Mapping[str, Any]) -> None:
    """Take over what ``completionServer.explain`` tells of one request."""
    usage.is_known = True
    usage.is_remembered = bool(trace.get("from_completion_cache"))
    usage.finish_reason = str(trace.get("finish_reason") or "")
    usage.num_passes = _number(trace, "num_decode_passes")
    for name in ("num_prompt_tokens", "num_cached_tokens", "num_prefilled_tokens", "num_generated_tokens"):
        setattr(usage, name, _number(trace, name))


def read_totals(status: Mapping[str, Any]) -> Totals | None:
    """The counters that the status command tells, if this version of the server has them."""
    model = status.get("model")
    totals = model.get("totals") if isinstance(model, dict) else None
    if not isinstance(totals, dict):
        return None
    return Totals(
        _number(totals, "num_forward_passes"),
        _number(totals, "num_prefilled_tokens"),
        _number(totals, "num_generated_tokens"),
    )


def editor_options(limits: PromptLimits, num_threads: int | None, *, timeout_ms: int | None) -> dict[str, Any]:
    """Settings under which this server sees and writes as much as its peers."""
    options: dict[str, Any] = {
        "generation": {"automaticMaxTokens": limits.max_new_tokens},
        "context": {
            "maxPromptTokens": limits.max_prefix_tokens + limits.max_suffix_tokens,
            "maxSuffixTokens": limits.max_suffix_tokens,
        },
    }
    if num_threads is not None:
        options["model"] = {"numThreads": num_threads}
    if timeout_ms is not None:
        options["latency"] = {"automaticTimeoutMs": timeout_ms}
    return options


def _number(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name, 0)
    return value if isinstance(value, int) else 0
