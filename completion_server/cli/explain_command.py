"""``completion-server explain``: what happened to the last requests of the editors' servers, and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from completion_server.cli.output import make_console, make_facts_table, print_json
from completion_server.usage_log.place import TRACES_NAME, state_dir
from completion_server.usage_log.traces import read_traces


def run(num_requests: int, *, as_json: bool = False) -> None:
    """Show the last ``num_requests`` requests, the newest last."""
    path = state_dir() / TRACES_NAME
    traces = read_traces(path, num_requests)
    if as_json:
        print_json(traces)
        return
    console = make_console()
    if not traces:
        console.print(f"no request was traced yet (file: {path})", soft_wrap=True)
    for trace in traces:
        console.print(headline(trace), style="bold" if console.is_terminal else "", soft_wrap=True)
        console.print(make_facts_table(describe(trace)))


def headline(trace: dict[str, Any]) -> str:
    """When and where, and what came of it."""
    at = trace.get("at")
    time = datetime.fromtimestamp(at).strftime("%H:%M:%S") if isinstance(at, int | float) else "?"
    uri = str(trace.get("uri", "?"))
    line, column = trace.get("line"), trace.get("column")
    place = f":{line + 1}:{column + 1}" if isinstance(line, int) and isinstance(column, int) else ""
    total = trace.get("total_ms")
    took = f", {total:.0f} ms" if isinstance(total, int | float) else ""
    items = trace.get("num_items", 0)
    shown = f"{items} shown" if items else f"nothing shown: {_why_nothing(trace)}"
    return f"{time}  {uri.rsplit('/', 1)[-1]}{place}  {shown}{took}"


def describe(trace: dict[str, Any]) -> dict[str, str]:
    """The stages of a request as names and what there is to say; only what the trace has."""
    stages = trace.get("stage_ms")
    prompt = _join(trace, num_prompt_tokens="tokens", num_cached_tokens="cached", num_prefilled_tokens="new")
    decode = _join(trace, num_generated_tokens="tokens", num_wasted_tokens="of them not shown")
    stop = " ".join(str(trace[key]) for key in ("finish_reason", "stop_rule") if trace.get(key))
    fired = trace.get("filters_fired")
    facts = {
        "asked": _values(trace, "trigger", "mode", "trigger_reason"),
        "times": ", ".join(f"{name} {ms} ms" for name, ms in stages.items()) if isinstance(stages, dict) else "",
        "known": "from the completion cache" if trace.get("from_completion_cache") else "",
        "prompt": prompt,
        "decode": decode,
        "stopped by": stop,
        "filters": ", ".join(map(str, fired)) if isinstance(fired, list) else "",
        "gate": _gate(trace),
    }
    return {f"  {name}": text for name, text in facts.items() if text}


def _gate(trace: dict[str, Any]) -> str:
    score, threshold = trace.get("gate_score"), trace.get("gate_threshold")
    if not isinstance(score, int | float) or not isinstance(threshold, int | float):
        return ""
    outcome = "hidden" if trace.get("is_hidden") else "shown"
    return f"score {score:.2f}, threshold {threshold:.2f}: {outcome}"


def _why_nothing(trace: dict[str, Any]) -> str:
    for key in ("reason", "trigger_reason", "finish_reason"):
        if trace.get(key) and (key != "trigger_reason" or trace.get("mode") == "none"):
            return str(trace[key])
    return "unknown"


def _join(trace: dict[str, Any], **names: str) -> str:
    return ", ".join(f"{trace[key]} {name}" for key, name in names.items() if key in trace)


def _values(trace: dict[str, Any], *names: str) -> str:
    return ", ".join(str(trace[name]) for name in names if trace.get(name))
