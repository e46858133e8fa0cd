"""One function per LSP method. The only concurrent code: a handler takes its snapshot at once, then waits.

Knows the server's state and the conversions; knows nothing of models.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from completion_server.config import EDITOR_SECTION
from completion_server.document import Document
from completion_server.lsp.commands import COMMAND_NAMES, execute_command
from completion_server.lsp.configuration import section_of, sends_users_addresses, workspace_path
from completion_server.lsp.convert import (
    completion_to_lsp,
    position_encoding,
    position_from_lsp,
    selected_from_lsp,
    trigger_from_lsp,
)
from completion_server.lsp.job import Job
from completion_server.lsp.tcp import TOKEN_OPTION
from completion_server.lsp.workspace import (
    did_change_watched_files,
    did_change_workspace_folders,
    did_save,
    register_for_file_changes,
)
from completion_server.request import (
    CancellationToken,
    Completion,
    CompletionRequest,
    Deadline,
    FinishReason,
    TriggerKind,
)

if TYPE_CHECKING:
    from completion_server.lsp.server import CompletionLanguageServer

log = logging.getLogger(__name__)

_CONFIGURATION_WAIT_SECONDS = 3.0


def register_handlers(server: CompletionLanguageServer) -> None:
    """Connect every method this server knows."""
    handlers: dict[str, Callable[[CompletionLanguageServer, Any], Any]] = {
        types.INITIALIZE: initialize,
        types.INITIALIZED: initialized,
        types.SHUTDOWN: shutdown,
        types.SET_TRACE: ignore,
        types.WINDOW_WORK_DONE_PROGRESS_CANCEL: ignore,
        types.WORKSPACE_DID_CHANGE_CONFIGURATION: did_change_configuration,
        types.WORKSPACE_EXECUTE_COMMAND: execute_command,
        types.TEXT_DOCUMENT_DID_OPEN: did_open,
        types.TEXT_DOCUMENT_DID_CHANGE: did_change,
        types.TEXT_DOCUMENT_DID_CLOSE: did_close,
        types.TEXT_DOCUMENT_DID_SAVE: did_save,
        types.WORKSPACE_DID_CHANGE_WATCHED_FILES: did_change_watched_files,
        types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: did_change_workspace_folders,
        types.TEXT_DOCUMENT_INLINE_COMPLETION: inline_completion,
        "textDocument/didShowCompletion": did_show_completion,
        "textDocument/didPartiallyAcceptCompletion": did_partially_accept_completion,
        "textDocument/didRejectCompletion": did_reject_completion,
    }
    for method, handler in handlers.items():
        server.protocol.register(method, partial(handler, server))


def initialize(server: CompletionLanguageServer, params: types.InitializeParams) -> types.InitializeResult:
    """Answered before anything heavy is imported; the model is loaded after ``initialized``."""
    server.protocol.client_capabilities = params.capabilities
    server.documents.encoding = position_encoding(params.capabilities)
    server.folders.start(params)
    server.configuration.workspace = workspace_path(params)
    server.configuration.has_users_addresses = sends_users_addresses(params.capabilities)
    options = _without_token(params.initialization_options)
    section = section_of(options)
    server.configuration.initialization_options = options if section is None else section
    if params.process_id is not None:
        server.watch_parent(params.process_id)
    capabilities = types.ServerCapabilities(
        position_encoding=types.PositionEncodingKind(server.documents.encoding.value),
        text_document_sync=types.TextDocumentSyncOptions(
            open_close=True, change=types.TextDocumentSyncKind.Incremental, save=True
        ),
        workspace=types.WorkspaceOptions(
            workspace_folders=types.WorkspaceFoldersServerCapabilities(supported=True, change_notifications=True)
        ),
        inline_completion_provider=types.InlineCompletionOptions(),
        execute_command_provider=types.ExecuteCommandOptions(commands=list(COMMAND_NAMES)),
    )
    info = types.ServerInfo(name=server.name, version=server.version)
    return types.InitializeResult(capabilities=capabilities, server_info=info)


def _without_token(options: Any) -> Any:
    return (
        {key: value for key, value in options.items() if key != TOKEN_OPTION}
        if isinstance(options, dict)
        else options
    )


async def initialized(server: CompletionLanguageServer, _params: types.InitializedParams) -> None:
    """Ask for the settings, then load the model; a client that does not answer gets the defaults meanwhile."""
    if server.is_initialized:
        return
    server.is_initialized = True
    pull = asyncio.ensure_future(_pull_configuration(server))
    try:
        server.spawn(_register_for_configuration_changes(server))
        server.spawn(register_for_file_changes(server))
        server.protocol.prepare_decoding()
        await asyncio.wait({pull}, timeout=_CONFIGURATION_WAIT_SECONDS)
        if pull.done():
            server.configuration.editor_options = pull.result()
        # A file that is still being read then (on a network's disk that is gone) is put to use when it comes.
        await asyncio.wait({server.trust.look()}, timeout=_CONFIGURATION_WAIT_SECONDS)
    finally:  # whatever went wrong, the state must not stay at "loading"
        server.start_loading()
    if not pull.done():
        _take_editor_options(server, await pull)


def shutdown(server: CompletionLanguageServer, _params: object) -> None:
    """Let the model thread come to rest; the protocol answers what is still running."""
    server.worker.withdraw_all("the server shuts down")


def ignore(_server: CompletionLanguageServer, _params: object) -> None:
    """Known and without any effect here."""


def did_change_configuration(
    server: CompletionLanguageServer, params: types.DidChangeConfigurationParams
) -> Awaitable[None] | None:
    """Pull the settings where the client can; otherwise take at once what it pushed."""
    pushed = section_of(params.settings)
    if _can_pull(server):
        return _pull_and_configure(server, pushed)
    _take_editor_options(server, pushed)
    return None


async def _pull_and_configure(server: CompletionLanguageServer, pushed: object) -> None:
    pulled = await _pull_configuration(server)
    _take_editor_options(server, pushed if pulled is None else pulled)


def _take_editor_options(server: CompletionLanguageServer, options: object) -> None:
    if options is not None:
        server.configuration.editor_options = options
    server.configure()
    server.trust.look()


def did_open(server: CompletionLanguageServer, params: types.DidOpenTextDocumentParams) -> None:
    """A document is the client's from now on."""
    server.worker.withdraw_document(params.text_document.uri, "the document was opened anew")
    server.documents.open(params.text_document)
    server.prepare_last_document()


def did_change(server: CompletionLanguageServer, params: types.DidChangeTextDocumentParams) -> None:
    """Apply edits. A request for the text before them is of no use any more, whether or not it is cancelled."""
    document = params.text_document
    server.feedback.see_change(document.uri, params.content_changes)
    is_known = server.documents.change(document.uri, document.version, params.content_changes)
    if is_known and params.content_changes:
        server.worker.withdraw_document(document.uri, "the text has changed")
    server.change_wait_ms.append((time.monotonic() - server.protocol.arrived_at) * 1000)


def did_close(server: CompletionLanguageServer, params: types.DidCloseTextDocumentParams) -> None:
    """The document is the disk's again, and so unknown here."""
    server.worker.withdraw_document(params.text_document.uri, "the document was closed")
    server.documents.close(params.text_document.uri)
    server.feedback.close_document(params.text_document.uri)
    server.worker.forget_document(params.text_document.uri)
    server.worker.note_file_changes([params.text_document.uri])


def did_show_completion(server: CompletionLanguageServer, params: object) -> None:
    """An item is on the screen. ``params`` is ``{"item": ...}``, the item as it was sent."""
    key, _number = _suggestion_of(params)
    server.feedback.confirm(key)


def did_partially_accept_completion(server: CompletionLanguageServer, params: object) -> None:
    """The first ``acceptedLength`` characters of an item were taken over."""
    key, number = _suggestion_of(params)
    num_chars = params.get("acceptedLength") if isinstance(params, dict) else None
    if key is not None and isinstance(params, dict) and isinstance(num_chars, int):
        server.feedback.accept(key, number, num_chars, params["item"].get("insertText"))


def did_reject_completion(server: CompletionLanguageServer, params: object) -> None:
    """The user sent an item away. ``params`` is ``{"item": ...}``, the item as it was sent."""
    key, _number = _suggestion_of(params)
    server.feedback.reject(key)


def _suggestion_of(params: object) -> tuple[object, object]:
    """Key and number in the command of ``params``' item; None where there is no such thing."""
    value: Any = params
    try:
        key, number = value["item"]["command"]["arguments"]
    except (KeyError, TypeError, ValueError):
        return None, None
    return key, number


def inline_completion(
    server: CompletionLanguageServer, params: types.InlineCompletionParams
) -> types.InlineCompletionList | Awaitable[types.InlineCompletionList]:
    """Items for a position; an empty list, never an error, when there are none for whatever reason."""
    server.num_requests += 1
    uri = params.text_document.uri
    try:
        document = server.documents.snapshot(uri)
        if document is None:
            return _refuse(server, uri, "the document is not open")
        if (reason := server.reason_to_skip(document)) is not None:
            return _refuse(server, uri, reason)
        request = _make_request(server, document, params)
    except Exception:
        log.exception("a request could not be read")
        return types.InlineCompletionList(items=[])
    server.documents.note_asked(uri, request.position)
    job = server.worker.submit(request)
    loop = asyncio.get_running_loop()
    expiry = loop.call_later(max(0.0, request.deadline.remaining_ms) / 1000, server.worker.expire, job)
    answer = asyncio.ensure_future(_answer(server, job))
    # Not in a finally of _answer: a task cancelled before its first stretch never runs any of its code.
    answer.add_done_callback(partial(_on_answered, server, job, expiry))
    return answer


async def _answer(server: CompletionLanguageServer, job: Job) -> types.InlineCompletionList:
    request = job.request
    try:
        completion = await asyncio.wrap_future(job.future)
        if completion.trace.get("is_engine_down"):
            server.show_once(types.MessageType.Error, f"No completions: {completion.trace['reason']}")
        reply = completion_to_lsp(
            completion,
            request.document,
            server.documents.encoding,
            request.selected,
            request.max_items,
            _offer(server, request, completion),
        )
        server.remember_trace(job.uri, _trace(job, completion.trace, completion.finish_reason.value, reply))
    except Exception:
        log.exception("a completion could not be sent")
        return types.InlineCompletionList(items=[])
    if completion.finish_reason not in (FinishReason.CANCELLED, FinishReason.SKIPPED):
        server.last_latency_ms = (time.monotonic() - request.arrived_at) * 1000
    return reply


def _offer(
    server: CompletionLanguageServer, request: CompletionRequest, completion: Completion
) -> Callable[[int], types.Command] | None:
    """Tell the log what is about to be shown; the items' commands."""
    if not server.settings.log.acceptance:
        return None
    latency_ms = (time.monotonic() - request.arrived_at) * 1000
    key = server.feedback.offer(request, completion, server.settings.model.name, latency_ms)
    return None if key is None else partial(server.feedback.command_for, key)


def _on_answered(
    server: CompletionLanguageServer,
    job: Job,
    expiry: asyncio.TimerHandle,
    answer: asyncio.Future[types.InlineCompletionList],
) -> None:
    expiry.cancel()
    # Not at once: the callback that sends the answer comes after this one.
    asyncio.get_running_loop().call_soon(server.worker.continue_later, job)
    if answer.cancelled():
        server.worker.withdraw(job, "cancelled by the client")
        trace: dict[str, object] = {"reason": "cancelled by the client"}
        server.remember_trace(job.uri, _trace(job, trace, "cancelled", None))


def _trace(
    job: Job, trace: dict[str, object], finish_reason: str, reply: types.InlineCompletionList | None
) -> dict[str, object]:
    """What ``explain`` tells: times, counts and reasons, no source text."""
    request = job.request
    result: dict[str, object] = {
        **trace,
        "uri": job.uri,
        "version": request.document.version,
        "line": request.position.line,
        "column": request.position.column,
        "trigger": request.trigger.name.lower(),
        "finish_reason": finish_reason,
        "num_items": len(reply.items) if reply is not None else 0,
        "total_ms": round((time.monotonic() - request.arrived_at) * 1000, 3),
    }
    if job.started_at is not None:
        result["queue_ms"] = round((job.started_at - request.arrived_at) * 1000, 3)
    return result


def _refuse(server: CompletionLanguageServer, uri: str, reason: str) -> types.InlineCompletionList:
    server.remember_trace(uri, {"uri": uri, "finish_reason": "skipped", "reason": reason, "num_items": 0})
    return types.InlineCompletionList(items=[])


def _make_request(
    server: CompletionLanguageServer, document: Document, params: types.InlineCompletionParams
) -> CompletionRequest:
    encoding, settings = server.documents.encoding, server.settings
    trigger = trigger_from_lsp(params.context)
    is_invoked = trigger is TriggerKind.INVOKED
    latency = settings.latency
    timeout_ms = latency.invoked_timeout_ms if is_invoked else latency.automatic_timeout_ms
    arrived_at = server.protocol.arrived_at
    return CompletionRequest(
        document=document,
        position=position_from_lsp(document, params.position, encoding),
        trigger=trigger,
        deadline=Deadline.after_ms(timeout_ms, since=arrived_at),
        cancellation=CancellationToken(),
        selected=selected_from_lsp(document, params.context, encoding),
        workspace=server.documents.view(document.uri, server.folders.root_of(document.uri)),
        max_items=settings.generation.invoked_max_items if is_invoked else 1,
        arrived_at=arrived_at,
        request_id=str(server.num_requests),
    )


def _can_pull(server: CompletionLanguageServer) -> bool:
    workspace = server.protocol.client_capabilities.workspace
    return bool(workspace and workspace.configuration)


async def _pull_configuration(server: CompletionLanguageServer) -> Any:
    """The editor's section of this server; None when the client cannot tell or has nothing."""
    if not _can_pull(server):
        return None
    params = types.ConfigurationParams(items=[types.ConfigurationItem(section=EDITOR_SECTION)])
    try:
        reply = await server.protocol.send_request_async(types.WORKSPACE_CONFIGURATION, params)
    except Exception as error:  # noqa: BLE001 - whatever the client answers, the server goes on
        log.warning("the client did not tell its settings: %s", error)
        return None
    return reply[0] if isinstance(reply, list | tuple) and reply else None


async def _register_for_configuration_changes(server: CompletionLanguageServer) -> None:
    """VS Code only tells of changes to those who registered."""
    workspace = server.protocol.client_capabilities.workspace
    support = workspace.did_change_configuration if workspace else None
    if not (support and support.dynamic_registration):
        return
    registration = types.Registration(
        id="settings",
        method=types.WORKSPACE_DID_CHANGE_CONFIGURATION,
        register_options={"section": EDITOR_SECTION},
    )
    try:
        params = types.RegistrationParams(registrations=[registration])
        await server.protocol.send_request_async(types.CLIENT_REGISTER_CAPABILITY, params)
    except Exception as error:  # noqa: BLE001 - then there are no notifications of changes
        log.info("the client will not tell when its settings change: %s", error)
