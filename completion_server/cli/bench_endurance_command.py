"""``completion-server bench soak`` and ``bench load``: long runs of the real server, with criteria to pass."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import typer

from completion_server import environment
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import (
    ShowProgress,
    make_console,
    make_facts_table,
    print_json,
    shown_progress,
)
from completion_server.cli.server_process import started_server
from completion_server.evaluation.endurance_documents import long_documents
from completion_server.evaluation.machine import describe_machine
from completion_server.evaluation.process_samples import processes
from completion_server.evaluation.soak import SoakPlan, SoakReport, soak
from completion_server.evaluation.steady_load import LoadPlan, LoadReport, steady_load
from completion_server.lsp.client import EditorClient

_LEAVE_SECONDS = 10.0


@dataclass(frozen=True)
class _EngineOptions(CommonOptions):
    """The server as editors start it, with an engine in a process of its own unless told otherwise."""

    is_shared: bool = True

    def server_command(self) -> list[str]:
        command = super().server_command()
        return [each for each in command if each != "--no-shared"] if self.is_shared else command


def run_soak(options: CommonOptions, plan: SoakPlan, *, is_shared: bool, as_json: bool = False) -> None:
    """Type for long, print. Raises CompletionServerError, and typer.Exit with 1 when a criterion is not met."""
    report, model = asyncio.run(_soak(_with_engine(options, is_shared), plan))
    _print("soak", plan, report, model, as_json=as_json)


def run_load(options: CommonOptions, plan: LoadPlan, *, is_shared: bool, as_json: bool = False) -> None:
    """Ask at a steady rate, print. Raises as ``run_soak``."""
    report, model = asyncio.run(_load(_with_engine(options, is_shared), plan))
    _print("load", plan, report, model, as_json=as_json)


def _with_engine(options: CommonOptions, is_shared: bool) -> _EngineOptions:
    return _EngineOptions(options.model, options.offline, options.threads, is_shared)


async def _soak(options: _EngineOptions, plan: SoakPlan) -> tuple[SoakReport, Mapping[str, object]]:
    with shown_progress(make_console(stderr=True)) as progress:
        async with _alone(options, progress) as (editor, model):
            return await soak(editor, long_documents(), plan, progress, options.editor_options()), model


async def _load(options: _EngineOptions, plan: LoadPlan) -> tuple[LoadReport, Mapping[str, object]]:
    with shown_progress(make_console(stderr=True)) as progress:
        async with _alone(options, progress) as (editor, model):
            return await steady_load(editor, long_documents(), plan, progress), model


@asynccontextmanager
async def _alone(
    options: _EngineOptions, progress: ShowProgress
) -> AsyncIterator[tuple[EditorClient, Mapping[str, object]]]:
    """A server with an engine of its own, whose usage log is not the user's."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folders = {each: Path(name) / each for each in ("run", "state", "workspace")}
        for folder in folders.values():
            folder.mkdir(mode=0o700)
        env = {
            **environment.for_child(),
            "XDG_RUNTIME_DIR": str(folders["run"]),
            "XDG_STATE_HOME": str(folders["state"]),
        }
        started: list[psutil.Process] = []
        try:
            async with started_server(options, progress, folders["workspace"], env) as (editor, model):
                try:
                    yield editor, {**model, "shared": options.is_shared}
                finally:
                    started = [each for role, each in processes(editor.pid).items() if role != "server"]
        finally:
            _end(started)


def _end(children: list[psutil.Process]) -> None:
    """The engine would wait for other windows for some minutes; here there are none."""
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.terminate()
    psutil.wait_procs(children, timeout=_LEAVE_SECONDS)


def _print(
    name: str,
    plan: SoakPlan | LoadPlan,
    report: SoakReport | LoadReport,
    model: Mapping[str, object],
    *,
    as_json: bool,
) -> None:
    values: dict[str, Any] = report.as_dict()
    if not as_json:
        make_console().print(make_facts_table(values))
    facts = {"bench": name, "plan": asdict(plan), **values, "model": dict(model), "machine": describe_machine()}
    print_json(facts, indent=None)
    if report.problems:
        raise typer.Exit(1)
