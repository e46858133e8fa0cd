"""``completion-server complete``: one completion in process, shown in place with what it cost."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
from rich.console import Console
from rich.text import Text

from completion_server.cli.file_position import locate, parse_file_position, read_document
from completion_server.cli.ghost import code_with_ghost
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import ShowProgress, make_console, print_json, shown_progress
from completion_server.config import Settings
from completion_server.document import Document, Position
from completion_server.request import (
    CancellationToken,
    Completion,
    CompletionItem,
    CompletionRequest,
    Deadline,
    FinishReason,
    TriggerKind,
)

log = logging.getLogger(__name__)

_CONTEXT_LINES = 6


class Completer(Protocol):
    """The service as this command sees it."""

    def complete(self, request: CompletionRequest) -> Completion: ...


@dataclass(frozen=True)
class CompleteQuery:
    """What was asked on the command line."""

    place: str
    timeout_ms: float
    max_tokens: int | None = None
    num_items: int = 1
    is_automatic: bool = False

    @property
    def trigger(self) -> TriggerKind:
        return TriggerKind.AUTOMATIC if self.is_automatic else TriggerKind.INVOKED

    def apply_to(self, settings: Settings) -> Settings:
        """``settings`` with this query's limit on tokens."""
        if self.max_tokens is None:
            return settings
        generation = msgspec.structs.replace(
            settings.generation, automatic_max_tokens=self.max_tokens, invoked_max_tokens=self.max_tokens
        )
        return msgspec.structs.replace(settings, generation=generation)


def run(query: CompleteQuery, options: CommonOptions, *, as_json: bool = False) -> None:
    """Load the model, complete once, print. Raises CompletionServerError."""
    place = parse_file_position(query.place)
    document = read_document(place.path)
    position = locate(place, document)
    loaded = options.resolve(Path.cwd())
    for warning in loaded.warnings:
        log.warning("%s", warning)
    settings = query.apply_to(loaded.settings)
    began = time.perf_counter()
    with shown_progress(make_console(stderr=True)) as progress:
        service = build_service(settings, progress)
    load_s = time.perf_counter() - began
    completion = service.complete(
        CompletionRequest(
            document=document,
            position=position,
            trigger=query.trigger,
            deadline=Deadline.after_ms(query.timeout_ms),
            cancellation=CancellationToken(),
            max_items=query.num_items,
            request_id="complete",
        )
    )
    if as_json:
        print_json(_as_dict(completion, position, load_s), indent=None)
    else:
        _show(make_console(), document, position, completion)
        make_console().print(describe_cost(completion, load_s), soft_wrap=True)


def build_service(settings: Settings, progress: ShowProgress) -> Completer:
    """The real service; torch is imported here and not before."""
    from completion_server import bootstrap

    return bootstrap.build_service(settings, progress)


def describe_cost(completion: Completion, load_s: float) -> str:
    """One line: where the time went and why it ended."""
    trace = completion.trace
    stages = trace.get("stage_ms")
    stage_ms: Mapping[str, Any] = stages if isinstance(stages, Mapping) else {}
    parts = [f"load {load_s:.1f} s"]
    num_passes = trace.get("num_decode_passes")
    if "num_prompt_tokens" in trace:
        parts.append(f"prompt {trace['num_prompt_tokens']} tokens ({trace.get('num_cached_tokens', 0)} cached)")
    if "prefill" in stage_ms:
        parts.append(f"prefill {stage_ms['prefill']:.0f} ms")
    has_prefill = "prefill" in stage_ms
    if "decode" in stage_ms:
        name = "decode" if has_prefill else "prefill and decode"
        parts.append(f"{name} {stage_ms['decode']:.0f} ms")
    if isinstance(num_passes, int) and num_passes:
        parts.append(f"{num_passes} passes")
    num_tokens = trace.get("num_generated_tokens")
    if isinstance(num_tokens, int) and num_tokens:
        each = f", {stage_ms['decode'] / num_tokens:.1f} ms each" if has_prefill and "decode" in stage_ms else ""
        parts.append(f"{num_tokens} new tokens{each}")
    if "total_ms" in trace:
        parts.append(f"total {trace['total_ms']:.0f} ms")
    parts.append(f"finish: {completion.finish_reason.value}")
    if "trigger_reason" in trace:
        parts.append(f"trigger: {trace['trigger_reason']}")
    return " | ".join(parts)


def _show(console: Console, document: Document, position: Position, completion: Completion) -> None:
    if not completion.items:
        console.print(f"no suggestion ({_why_nothing(completion)})", soft_wrap=True)
    for number, item in enumerate(completion.items, 1):
        if len(completion.items) > 1:
            console.print(f"--- {number} of {len(completion.items)}")
        console.print(_in_place(document, position, item, is_plain=not console.is_terminal), soft_wrap=True)


def _why_nothing(completion: Completion) -> str:
    """The reason, and for a deadline what took the time."""
    trace = completion.trace
    if completion.finish_reason is not FinishReason.DEADLINE:
        return str(trace.get("reason") or completion.finish_reason.value)
    stages = trace.get("stage_ms")
    stage_ms: Mapping[str, float] = stages if isinstance(stages, Mapping) else {}
    slowest = sorted(stage_ms.items(), key=lambda stage: -stage[1])[:2]
    spent = ", ".join(f"{name} {elapsed_ms:,.0f} ms" for name, elapsed_ms in slowest)
    return f"the time limit was reached: {spent}; --timeout-ms allows more"


def _in_place(document: Document, position: Position, item: CompletionItem, *, is_plain: bool) -> Text:
    """The lines around ``position`` with the item's new text shown at it."""
    start = min(item.start, position)
    already_typed = "".join(document.text_before(position, start.line)[start.column :])
    ghost = item.text.removeprefix(already_typed)
    return code_with_ghost(document, position, ghost, (_CONTEXT_LINES, _CONTEXT_LINES // 2), is_plain=is_plain)


def _as_dict(completion: Completion, position: Position, load_s: float) -> dict[str, object]:
    items = [
        {"text": item.text, "range": {"start": asdict(item.start), "end": asdict(item.end)}}
        for item in completion.items
    ]
    return {
        "items": items,
        "position": asdict(position),
        "finish_reason": completion.finish_reason.value,
        "load_s": round(load_s, 3),
        "trace": completion.trace,
    }
