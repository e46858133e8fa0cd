"""``completion-server bench``: measurements of the real server; a table for people, one JSON line for scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from completion_server.cli.option import CommonOptions
from completion_server.cli.output import make_console, make_facts_table, make_table, print_json, shown_progress
from completion_server.cli.server_process import started_server
from completion_server.evaluation.latency import LatencyReport, summarize
from completion_server.evaluation.machine import describe_machine
from completion_server.evaluation.typed_source import make_typed_text, source_name
from completion_server.evaluation.typing_session import KeyRecord, TypingSession

_LINES_PER_REPORT = 20
_DOCUMENT_STEPS = {
    "change": "edit",
    "changeAndSnapshot": "edit and snapshot",
    "windowAndTrigger": "window and decision what to ask",
    "newLineAndSnapshot": "new line and snapshot",
    "messageBytes": "from the message's bytes on",
    "pyglsChange": "pygls' own document, edit",
}


@dataclass(frozen=True)
class LatencyTask:
    """What is typed into what, and how fast (``pace_ms`` 0: the next key follows the reply)."""

    num_lines: int = 1000
    num_keys: int = 200
    pace_ms: float = 0.0


def run_latency(options: CommonOptions, task: LatencyTask, *, as_json: bool = False) -> None:
    """Type, measure, print. Raises CompletionServerError."""
    settings = options.resolve(Path.cwd()).settings
    timeout_ms = settings.latency.automatic_timeout_ms
    records, model = asyncio.run(_type_into_server(options, task))
    report = summarize(records, timeout_ms)
    if not as_json:
        _show_report(make_console(), report, task, timeout_ms)
    print_json(_json_line(report, task, timeout_ms, model), indent=None)


async def _type_into_server(
    options: CommonOptions, task: LatencyTask
) -> tuple[list[KeyRecord], Mapping[str, object]]:
    plan = make_typed_text(task.num_lines, task.num_keys)
    console = make_console(stderr=True)
    with shown_progress(console) as progress:
        async with started_server(options, progress) as (editor, model):
            session = TypingSession(editor, plan)
            records: list[KeyRecord] = []
            # What an editor asks when the file has just been opened: it pays for the cold prompt.
            records.append(await session.ask(""))
            async for record in session.type_keys(plan.keys, task.pace_ms):
                records.append(record)
                if len(records) % _LINES_PER_REPORT == 1:
                    progress(f"typing: {len(records) - 1} of {len(plan.keys)} keys", len(records) / len(plan.keys))
    return records, model


def _show_report(console: Console, report: LatencyReport, task: LatencyTask, timeout_ms: float) -> None:
    pace = f"a key every {task.pace_ms:.0f} ms" if task.pace_ms else "the next key follows the reply"
    console.print(f"typed {task.num_keys} keys into the middle of {task.num_lines} lines; {pace}", soft_wrap=True)
    table = make_table(console, "per key", "p50", "p95", "max", "mean")
    rows = {
        "reply time, ms": report.reply_ms,
        "reply time with text, ms": report.with_text_ms,
        "reply time, model asked, ms": report.asked_ms,
        "prompt tokens prefilled": report.prefill_tokens,
        "prefilled, model asked": report.asked_prefill_tokens,
        "decode passes": report.decode_passes,
        f"later than {timeout_ms:.0f} ms, ms": report.overshoot_ms,
    }
    for name, spread in rows.items():
        table.add_row(name, *(f"{value:.1f}" for value in (spread.p50, spread.p95, spread.max, spread.mean)))
    console.print(table)
    console.print(make_facts_table(describe_report(report)))


def describe_report(report: LatencyReport) -> dict[str, str]:
    """The counts and shares of ``report`` in words."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in report.finish_reasons.items())
    share = f"{report.share_with_text:.0%} ({report.num_with_text} of {report.num_answered})"
    return {
        "replies with a suggestion": share,
        "prompt tokens from the cache": f"{report.cached_token_ratio:.1%}",
        "answered without the model": str(report.num_without_model),
        "why suggestions ended": reasons or "-",
    }


def _json_line(
    report: LatencyReport, task: LatencyTask, timeout_ms: float, model: Mapping[str, object]
) -> dict[str, Any]:
    return {
        "bench": "latency",
        "num_lines": task.num_lines,
        "pace_ms": task.pace_ms,
        "timeout_ms": timeout_ms,
        "text": source_name(),
        **report.as_dict(),
        "model": dict(model),
        "machine": describe_machine(),
    }


def run_documents(*, as_json: bool = False) -> None:
    """What a key press costs the document layer, for files of several lengths."""
    from completion_server.evaluation import document_bench

    result = document_bench.run()
    if not as_json:
        console = make_console()
        table = make_table(console, "ms per key press", "lines", "p10", "median", "p90")
        for num_lines, measured in result.items():
            for name, spread in measured.items() if isinstance(measured, Mapping) else ():
                numbers = (f"{spread[key]:.4f}" for key in ("p10", "median", "p90"))
                table.add_row(_DOCUMENT_STEPS.get(name, name), num_lines, *numbers)
        console.print(table)
    print_json({"bench": "documents", "ms_per_key": result, "machine": describe_machine()}, indent=None)
