"""The language server: what belongs to one connection, its settings, and running it over stdio or TCP.

Owns the state that the handlers work on. Imports no model code: ``build_service`` brings that, on the model
thread, after ``initialize`` has been answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from completion_server import __version__
from completion_server.config import LoadedSettings, Options, Settings
from completion_server.document import Document, Position
from completion_server.logs import set_level
from completion_server.lsp.configuration import Configuration
from completion_server.lsp.documents import DocumentStore
from completion_server.lsp.feedback import Feedback
from completion_server.lsp.handlers import register_handlers
from completion_server.lsp.job import BuildService
from completion_server.lsp.progress import LoadingProgress
from completion_server.lsp.protocol import ServerProtocol
from completion_server.lsp.stdio import ByteChannel, Connection, take_over_stdio
from completion_server.lsp.tcp import accept_one_client
from completion_server.lsp.trust import WorkspaceTrust
from completion_server.lsp.watchdog import end_soon, ending_with_its_input, watch_process
from completion_server.lsp.worker import CompletionWorker, WorkerState
from completion_server.lsp.workspace import Folders
from completion_server.request import CancellationToken, CompletionRequest, Deadline, TriggerKind
from completion_server.scheduling import expect_many_switches, pass_on_quickly
from completion_server.telemetry import Telemetry
from completion_server.usage_log.store import now
from completion_server.usage_log.writer import UsageWriter

log = logging.getLogger(__name__)

SERVER_NAME = "completion-server"
_MAX_TRACES = 64
_MAX_CHANGE_WAITS = 1000


class CompletionLanguageServer(LanguageServer):
    """State of one connection. Lives on the event loop; only ``post`` may be called from other threads."""

    protocol: ServerProtocol

    def __init__(self, build_service: BuildService, overrides: Options | None = None) -> None:
        super().__init__(SERVER_NAME, __version__, protocol_cls=ServerProtocol)
        self.documents = DocumentStore()
        self.configuration = Configuration(overrides)
        self.trust = WorkspaceTrust(self)
        self.settings = Settings()
        self.is_paused = False
        self.folders = Folders()
        self.last_latency_ms: float | None = None
        self.change_wait_ms: deque[float] = deque(maxlen=_MAX_CHANGE_WAITS)
        """From having read an edit's last byte to having applied it, for the last edits."""
        self.num_requests = 0
        self.worker = CompletionWorker(
            build_service,
            on_state=lambda: self.post(self._on_worker_state),
            on_progress=lambda message, fraction: self.post(self._on_progress, message, fraction),
        )
        self.usage = UsageWriter()
        self.telemetry = Telemetry()
        self.feedback = Feedback(self.usage, self.documents.peek, self._call_later)
        self.on_abandoned: Callable[[], None] = lambda: None
        """Called on any thread when the client's process is gone."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finished = asyncio.Event()
        self.is_initialized = False
        """The client has sent ``initialized``, which it may do once."""
        self._may_load = False
        self._progress: LoadingProgress | None = None
        self._loading_message: tuple[str, float | None] = ("", None)
        self._settled: list[asyncio.Future[None]] = []
        self._traces: OrderedDict[str, dict[str, object]] = OrderedDict()
        self._tasks: set[asyncio.Future[Any]] = set()
        self._shown: set[str] = set()
        register_handlers(self)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log only: pygls' own would pop up window/showMessage at the user."""
        log.error("%s: %s", getattr(source, "__name__", source), error)

    def _call_later(self, seconds: float, call: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_later(seconds, call)

    def post(self, callback: Callable[..., object], *args: object) -> None:
        """Run ``callback`` on the event loop; from any thread; nothing happens when the loop is gone."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(callback, *args)

    def spawn(self, coroutine: Any) -> None:
        """Run a coroutine beside the handlers; its failure is logged."""
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    async def run(self, channel: ByteChannel) -> int:
        """Serve one client until it leaves. Returns the exit code (LSP: 0 only after ``shutdown``)."""
        self._loop = asyncio.get_running_loop()
        connection = Connection(channel)
        self.protocol.writer = connection
        self.protocol.on_exit = self._finished.set
        connection.start(
            on_message=lambda body, arrived_at: self.post(self.protocol.receive, body, arrived_at),
            on_broken=lambda problem: self.post(self.protocol.report_broken_message, problem),
            on_closed=lambda: self.post(self._finished.set),
        )
        await self._finished.wait()
        connection.close()
        self.usage.close()
        self.telemetry.close()
        self.protocol.writer = None
        return self.protocol.exit_code

    def configure(self) -> None:
        """Resolve the settings again, report what is wrong with them once, and put them to use.

        Never raises: whatever is wrong with one source, the server goes on with what it has.
        """
        resolved = self._resolve()
        settings = self.settings = resolved.settings
        for step in (
            partial(set_level, settings.log_level),
            partial(self.telemetry.apply_endpoint, settings.log.otlp_endpoint),
            partial(self._report, resolved),
        ):
            try:
                step()
            except Exception:
                log.exception("a part of the settings is not in use")
        if not settings.enabled:
            self.worker.withdraw_all("switched off in the settings")
        elif self._may_load:
            self.worker.start(settings)

    def _resolve(self) -> LoadedSettings:
        try:
            return self.configuration.resolve()
        except Exception as error:
            log.exception("the settings could not be read")
            reason = f"they could not be read ({type(error).__name__}); the earlier ones, or the defaults, stay"
            return LoadedSettings(self.settings, (reason,))

    def _report(self, resolved: LoadedSettings) -> None:
        for warning in resolved.warnings:
            self.log_to_client(types.MessageType.Warning, warning)
        if resolved.warnings:
            self.show_once(types.MessageType.Warning, "Completion settings: " + "; ".join(resolved.warnings))
        file = self.configuration.workspace_file
        if resolved.withheld and file is not None:
            self.trust.tell(file, resolved.withheld)

    def start_loading(self) -> None:
        """From now on the model may be loaded: the settings are as complete as they get."""
        self._may_load = True
        self.configure()

    def log_to_client(self, kind: types.MessageType, message: str) -> None:
        """Write to the editor's log of this server."""
        self.window_log_message(types.LogMessageParams(type=kind, message=message))

    def show_once(self, kind: types.MessageType, message: str) -> None:
        """Show a message to the user, unless it was shown before. Never used for a completion."""
        if message not in self._shown:
            self._shown.add(message)
            self.window_show_message(types.ShowMessageParams(type=kind, message=message))

    def remember_trace(self, uri: str, trace: dict[str, object]) -> None:
        """Keep the explanation of the last request per document, for the documents asked about last."""
        self._traces.pop(uri, None)
        self._traces[uri] = trace
        if len(self._traces) > _MAX_TRACES:
            self._traces.popitem(last=False)
        log.debug("%s", trace)
        self.telemetry.record(trace)
        if self.settings.log.traces:
            self.usage.trace({"at": now(), **trace})

    def last_trace(self, uri: str | None = None) -> dict[str, object] | None:
        """The explanation of the last request, of ``uri`` if given."""
        if uri is None:
            return next(reversed(self._traces.values()), None)
        return self._traces.get(uri)

    def prepare_last_document(self) -> None:
        """Let the model read the document used last before anybody asks; the cursor may be anywhere in it."""
        uri = self.documents.last_used_uri
        document = self._completed_document(uri) if uri is not None else None
        if document is not None:
            self.worker.prepare(self._idle_request(document, Position(len(document.lines), 0)))

    def prepare_place(self, uri: str) -> None:
        """Let the model read the text around where was asked last: a formatter may have changed it."""
        position = self.documents.last_asked_at(uri)
        document = self._completed_document(uri) if position is not None else None
        if document is not None and position is not None:
            self.worker.prepare_place(self._idle_request(document, position))

    def _completed_document(self, uri: str) -> Document | None:
        """The document as it is now; None where no completions are given."""
        document = self.documents.snapshot(uri)
        return None if document is None or self.reason_to_skip(document) is not None else document

    def reason_to_skip(self, document: Document) -> str | None:
        """Why the user wants no completions in ``document`` now; None: they are wanted."""
        if not self.settings.enabled:
            return "switched off in the settings"
        if self.is_paused:
            return "paused"
        if document.language_id in self.settings.disabled_languages:
            return f"language {document.language_id} is disabled in the settings"
        return None

    def _idle_request(self, document: Document, position: Position) -> CompletionRequest:
        kind, token = TriggerKind.AUTOMATIC, CancellationToken()
        view = self.documents.view(document.uri, self.folders.root_of(document.uri))
        place = document.clamp(position)
        return CompletionRequest(document, place, kind, Deadline.never(), token, workspace=view)

    @property
    def loading_progress(self) -> tuple[str, float | None]:
        """What loading last said, and the fraction done where it is known."""
        return self._loading_message

    async def wait_until_settled(self) -> None:
        """Return when the model is neither about to be loaded nor being loaded."""
        while self.worker.status().state in (WorkerState.NOT_STARTED, WorkerState.LOADING):
            waiter = asyncio.get_running_loop().create_future()
            self._settled.append(waiter)
            await waiter

    def watch_parent(self, process_id: int) -> None:
        """End when the process that started this server is gone, as LSP asks of servers.

        End of input tells the same in nearly all cases. It does not when another child of the editor has inherited
        our pipe.
        """
        watch_process(process_id, self._leave_behind)

    def _leave_behind(self) -> None:
        """The client's process is gone: leave, or be ended."""
        self.on_abandoned()
        self.post(self._finished.set)

    def _on_task_done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a background task failed", exc_info=error)

    def _on_worker_state(self) -> None:
        status = self.worker.status()
        if status.state is WorkerState.LOADING:
            self._loading_message = (status.message, None)
            if self._progress is None and self._client_shows_progress():
                self._progress = LoadingProgress(self.protocol)
                self._progress.begin(status.message)
            return
        if self._progress is not None:
            self._progress.end(status.message)
            self._progress = None
        if status.state is WorkerState.ERROR:
            self.log_to_client(types.MessageType.Error, status.message)
            self.show_once(types.MessageType.Error, f"No completions: {status.message}")
        elif status.state is WorkerState.READY:
            self.log_to_client(types.MessageType.Info, f"{self.settings.source_name} is ready")
            self._show_model_warnings(status.service.get("warnings"))
            self.prepare_last_document()
        for waiter in self._settled:
            if not waiter.done():
                waiter.set_result(None)
        self._settled.clear()

    def _show_model_warnings(self, warnings: object) -> None:
        """What a user should know of a model that works, but not as it could (an unknown family, ...)."""
        for warning in warnings if isinstance(warnings, list) else ():
            message = f"{self.settings.source_name}: {warning}"
            self.log_to_client(types.MessageType.Warning, message)
            self.show_once(types.MessageType.Warning, message)

    def _on_progress(self, message: str, fraction: float | None) -> None:
        self._loading_message = (message, fraction)
        if self._progress is not None:
            self._progress.report(message, fraction)

    def _client_shows_progress(self) -> bool:
        window = self.protocol.client_capabilities.window
        return bool(window and window.work_done_progress)


def create_server(build_service: BuildService, overrides: Options | None = None) -> CompletionLanguageServer:
    """A server that is not connected yet.

    ``build_service`` is called on the model thread, after the client's settings are known. ``overrides`` are
    options of the command line and win over all other settings. Must be called on the running event loop.
    """
    return CompletionLanguageServer(build_service, overrides)


def run_stdio(
    build_service: BuildService, overrides: Options | None = None, client_process_id: int | None = None
) -> int:
    """Serve one client over stdin and stdout. Returns the exit code; see ``leave``."""
    return _run(build_service, overrides, take_over_stdio(), client_process_id)


def run_connected(
    build_service: BuildService,
    channel: ByteChannel,
    overrides: Options | None = None,
    client_process_id: int | None = None,
) -> int:
    """Serve the client at the other end of ``channel``. Returns the exit code; see ``leave``."""
    return _run(build_service, overrides, channel, client_process_id)


def run_tcp(
    build_service: BuildService,
    host: str,
    port: int,
    overrides: Options | None = None,
    on_listening: Callable[[str, int], None] | None = None,
    token: str | None = None,
) -> int:
    """Serve one client that connects to ``host:port`` on this machine, and brings ``token`` if there is one.

    Raises ConfigError for other hosts.
    """
    return _run(build_service, overrides, accept_one_client(host, port, on_listening, token))


def leave(exit_code: int) -> None:
    """End the process now, also while the model thread is deep in a library call.

    Ordinary interpreter exit would let a thread inside of a C++ library run into a dying interpreter.
    """
    logging.shutdown()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(exit_code)


def _run(
    build_service: BuildService,
    overrides: Options | None,
    channel: ByteChannel,
    client_process_id: int | None = None,
) -> int:
    expect_many_switches()
    pass_on_quickly()  # the event loop; the model thread computes

    async def serve() -> int:
        server = create_server(build_service, overrides)
        server.on_abandoned = end_soon
        if client_process_id is not None:
            server.watch_parent(client_process_id)
        try:
            return await server.run(ending_with_its_input(channel))
        finally:
            server.worker.stop()

    try:
        return asyncio.run(serve())
    except KeyboardInterrupt:
        return 130
