"""``completion-server bench team``: N typists at once against a model server that somebody runs."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from completion_server.cli.option import CommonOptions
from completion_server.cli.output import ShowProgress, make_console, make_table, print_json, shown_progress
from completion_server.cli.server_process import started_server
from completion_server.environment import for_child
from completion_server.errors import CompletionServerError
from completion_server.evaluation.machine import describe_machine
from completion_server.evaluation.replay.own_server import OwnServer
from completion_server.evaluation.replay.plan import make_sessions
from completion_server.evaluation.replay.process_tree import child_pids, listener_pid
from completion_server.evaluation.replay.source import SourceFile, read_sources
from completion_server.evaluation.replay.team import TeamFigures, TeamPlan, play_team
from completion_server.remote.address import parse_address

_FACTS = ("server", "dialect", "model", "fim_format", "max_context")
_MAX_TYPISTS = 256


@dataclass(frozen=True)
class TeamTask:
    """Which server is asked, by how many, and how they type."""

    url: str
    num_typists: tuple[int, ...]
    plan: TeamPlan
    remote: Mapping[str, str] = field(default_factory=dict)
    """Further ``remote.*`` settings."""
    timeout_ms: int | None = None
    server_pids: tuple[int, ...] = ()
    source: Path | None = None
    has_user_keys: bool = False
    """Whether each typist has a key of its own, for a router that tells users apart by it."""


@dataclass(frozen=True)
class _ServerOptions(CommonOptions):
    """The language servers' settings, as an editor would send them."""

    extra: Mapping[str, Any] = field(default_factory=dict)

    def editor_options(self) -> dict[str, Any]:
        return {**super().editor_options(), **self.extra}


def run_team(task: TeamTask, *, as_json: bool = False) -> None:
    """Type, measure, print. Raises CompletionServerError, also when nobody answers at the address."""
    sources = read_sources(task.source)
    make_sessions(task.plan.kinds, sources, task.plan.num_keys, task.plan.seed)  # what would fail later fails now
    pids = task.server_pids or _pids_at(task.url)
    levels, facts = asyncio.run(_play(task, sources, pids))
    report = {
        "bench": "team",
        "plan": dataclasses.asdict(task.plan),
        "timeout_ms": facts.pop("timeout_ms"),
        "server": facts,
        "counts_server_cpu": bool(pids),
        "levels": [dataclasses.asdict(level) for level in levels],
    }
    if not as_json:
        _show(make_console(), levels, report)
    print_json({**report, "machine": describe_machine()}, indent=None)


def parse_numbers(text: str) -> tuple[int, ...]:
    """Numbers of typists separated by commas. Raises CompletionServerError for anything else."""
    try:
        numbers = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        numbers = ()
    if not numbers or not all(1 <= number <= _MAX_TYPISTS for number in numbers):
        raise CompletionServerError(f"--typists wants numbers from 1 to {_MAX_TYPISTS}, as in 1,2,4; not {text!r}")
    return numbers


def _pids_at(url: str) -> tuple[int, ...]:
    """The process behind ``url`` where it is on this machine."""
    address = parse_address(url)
    base = httpx.URL(address.base)
    port = base.port or (443 if address.is_encrypted else 80)
    pid = listener_pid(port) if address.is_loopback else None
    return () if pid is None else (pid,)


async def _play(
    task: TeamTask, sources: Sequence[SourceFile], pids: Sequence[int]
) -> tuple[list[TeamFigures], dict[str, Any]]:
    levels: list[TeamFigures] = []
    with shown_progress(make_console(stderr=True)) as progress:
        async with _started(task, progress) as (peers, facts):
            for number in task.num_typists:
                progress(f"{number} typing for {task.plan.seconds:g} s", None)
                levels.append(await play_team(peers[:number], sources, task.plan, pids))
    return levels, facts


@asynccontextmanager
async def _started(
    task: TeamTask, progress: ShowProgress
) -> AsyncIterator[tuple[list[OwnServer], dict[str, Any]]]:
    """As many language servers as are needed at most, with an empty workspace."""
    extra: dict[str, Any] = {
        "remote": {"url": task.url, **task.remote},
        # As with a server on another machine, which nobody asks while idle.
        "generation": {"lookAhead": False},
    }
    if task.timeout_ms is not None:
        extra["latency"] = {"automaticTimeoutMs": task.timeout_ms}
    options = _ServerOptions(extra=extra)
    async with AsyncExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peers: list[OwnServer] = []
        for number in range(max(task.num_typists)):
            known = child_pids()
            env = for_child(api_key=f"typist-{number + 1}") if task.has_user_keys else None
            editor, _ = await stack.enter_async_context(started_server(options, progress, root, env))
            peers.append(OwnServer(editor, min(child_pids() - known), f"typist {number + 1}"))
        model = (await editor.wait_until_loaded()).get("model")
        status: Mapping[str, Any] = model if isinstance(model, dict) else {}
        if status.get("connection") != "connected":
            raise CompletionServerError(f"no model server answers at {task.url}: {status.get('connection')}")
        facts = {name: status[name] for name in _FACTS if name in status}
        facts["timeout_ms"] = task.timeout_ms or options.resolve(root).settings.latency.automatic_timeout_ms
        yield peers, facts


def _show(console: Console, levels: Sequence[TeamFigures], report: Mapping[str, Any]) -> None:
    server = ", ".join(f"{name} {value}" for name, value in report["server"].items())
    plan = report["plan"]
    console.print(
        f"{server}; {plan['seconds']:g} s each; an editor waits {plan['debounce_ms']:g} ms;"
        f" time limit {report['timeout_ms']} ms",
        soft_wrap=True,
    )
    table = make_table(console, "typists", *(str(level.num_typists) for level in levels))
    for name, value in _ROWS.items():
        table.add_row(name, *(value(level) for level in levels))
    console.print(table)


def _number(value: float | None, num_digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{num_digits}f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


_ROWS: Mapping[str, Callable[[TeamFigures], str]] = {
    "keys": lambda level: str(level.num_keys),
    "ghost text p50, ms": lambda level: _number(level.ghost_text_ms.p50, 0),
    "ghost text p95, ms": lambda level: _number(level.ghost_text_ms.p95, 0),
    "ghost text, server asked p50, ms": lambda level: _number(level.asked_ghost_text_ms.p50, 0),
    "ghost text, server asked p95, ms": lambda level: _number(level.asked_ghost_text_ms.p95, 0),
    "keys with ghost text before the next": lambda level: _share(level.share_with_text),
    "answers from the completion cache": lambda level: _share(level.share_remembered),
    "requests whole within the time limit": lambda level: _share(level.share_within_deadline),
    "requests overtaken by a key": lambda level: _share(level.share_cancelled),
    "requests per typist and minute": lambda level: _number(level.requests_per_typist_minute),
    "requests per second, all": lambda level: _number(level.requests_per_second, 2),
    "tokens per second and typist": lambda level: _number(level.tokens_per_second_per_typist, 2),
    "tokens written per request": lambda level: _number(level.tokens_per_request),
    "prompt tokens per request": lambda level: _number(level.prompt_tokens_per_request, 0),
    "of these computed anew": lambda level: _number(level.prefilled_tokens_per_request, 0),
    "server CPU s per typist and minute": lambda level: _number(level.server_cpu_s_per_typist_minute),
    "client CPU s per typist and minute": lambda level: _number(level.client_cpu_s_per_typist_minute),
    "errors": lambda level: str(level.num_errors),
}
