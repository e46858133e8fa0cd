"""``workspace/executeCommand``: look at the server and steer it. All results are plain JSON values."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from completion_server.lsp.feedback import ACCEPTED_COMMAND
from completion_server.lsp.worker import WorkerState

if TYPE_CHECKING:
    from completion_server.lsp.server import CompletionLanguageServer

Result = dict[str, object]


def execute_command(
    server: CompletionLanguageServer, params: types.ExecuteCommandParams
) -> Result | Awaitable[Result]:
    """Run a command of COMMAND_NAMES. Its one optional argument is an object (or a URI, for ``explain``)."""
    command = _COMMANDS.get(params.command)
    if command is None:
        raise JsonRpcInvalidParams(f"unknown command {params.command!r}")
    argument = params.arguments[0] if params.arguments else None
    if params.command == ACCEPTED_COMMAND and params.arguments and len(params.arguments) == 2:
        argument = list(params.arguments)
    return command(server, argument)


def status(server: CompletionLanguageServer, argument: object) -> Result | Awaitable[Result]:
    """State of the server. ``{"documents": true}`` adds the open documents with a hash of their text,
    ``{"measurements": true}`` times that benchmarks want, ``{"wait": true}`` answers only when the model is
    loaded or could not be."""
    options = argument if isinstance(argument, dict) else {}
    with_documents = bool(options.get("documents"))
    if not options.get("wait"):
        return _describe(server, with_documents, bool(options.get("measurements")))
    return _status_when_settled(server, with_documents)


def pause(server: CompletionLanguageServer, _argument: object) -> Result:
    """No suggestions until ``resume``; the model stays loaded."""
    server.is_paused = True
    server.worker.withdraw_all("paused")
    return _describe(server)


def resume(server: CompletionLanguageServer, _argument: object) -> Result:
    """Suggestions again after ``pause``."""
    server.is_paused = False
    return _describe(server)


def explain(server: CompletionLanguageServer, argument: object) -> Result:
    """What happened to the last request (of a document: a URI or ``{"uri": ...}``); never source text."""
    uri = argument.get("uri") if isinstance(argument, dict) else argument
    trace = server.last_trace(uri if isinstance(uri, str) else None)
    return trace if trace is not None else {"reason": "there was no request yet"}


async def clear_caches(server: CompletionLanguageServer, _argument: object) -> Result:
    """Forget all text and all keys and values kept to save time."""
    was_cleared: bool = await asyncio.wrap_future(server.worker.clear_caches())
    return {"cleared": was_cleared}


def accepted(server: CompletionLanguageServer, argument: object) -> Result:
    """An item was accepted; the editor runs this by itself. The arguments are those of the item's command."""
    key, number = argument if isinstance(argument, list) and len(argument) == 2 else (argument, 0)
    return {"recorded": server.feedback.accept(key, number)}


_COMMANDS: dict[str, Callable[[CompletionLanguageServer, Any], Result | Awaitable[Result]]] = {
    "completionServer.status": status,
    "completionServer.pause": pause,
    "completionServer.resume": resume,
    "completionServer.explain": explain,
    "completionServer.clearCaches": clear_caches,
    ACCEPTED_COMMAND: accepted,
}
COMMAND_NAMES = tuple(_COMMANDS)


async def _status_when_settled(server: CompletionLanguageServer, with_documents: bool) -> Result:
    if server.settings.enabled:
        await server.wait_until_settled()
    return _describe(server, with_documents)


def _describe(
    server: CompletionLanguageServer, with_documents: bool = False, with_measurements: bool = False
) -> Result:
    worker = server.worker.status()
    state, message = worker.state.value, worker.message
    if worker.state is WorkerState.NOT_STARTED:
        state, message = "loading", "not started yet"
    if worker.state is WorkerState.LOADING:
        message = server.loading_progress[0] or message
    if not server.settings.enabled:
        state, message = "paused", "switched off in the settings"
    elif server.is_paused:
        state, message = "paused", "paused by command"
    result: Result = {
        "state": state,
        "message": message,
        "progress": server.loading_progress[1] if worker.state is WorkerState.LOADING else None,
        "version": server.version,
        "model_name": server.settings.source_name,
        "model": worker.service,
        "running": worker.running_uri,
        "num_pending_jobs": worker.num_pending,
        "num_unanswered_requests": server.protocol.num_unanswered,
        "num_unanswered_by_client": server.protocol.num_unanswered_by_client,
        "num_requests": server.num_requests,
        "last_latency_ms": server.last_latency_ms,
        "position_encoding": server.documents.encoding.value,
        "num_open_documents": len(server.documents),
    }
    if with_measurements:
        result["cancel_to_idle_ms"] = list(worker.cancel_to_idle_ms)
        result["change_wait_ms"] = [round(elapsed_ms, 3) for elapsed_ms in server.change_wait_ms]
    if with_documents:
        result["documents"] = server.documents.describe()
    return result
