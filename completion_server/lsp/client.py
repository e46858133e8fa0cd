"""A small editor without a screen: starts a language server and speaks to it as an editor does.

Used by the demo, the terminal editor and the benchmarks. Knows nothing of this server's inside: whatever it
can do, another editor can do too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from lsprotocol import types
from pygls.io_ import run_async
from pygls.lsp.client import LanguageClient
from pygls.protocol import LanguageServerProtocol

from completion_server import __version__
from completion_server.config import EDITOR_SECTION
from completion_server.document import Position
from completion_server.errors import CompletionServerError
from completion_server.request import CompletionItem, TriggerKind

log = logging.getLogger(__name__)

_LEAVE_SECONDS = 5.0
_ENDED = "the server ended; its stderr may say why"
OnProgress = Callable[[str, "float | None"], None]
"""Takes what the server is doing and the fraction done (0 to 1, None: unknown)."""


@dataclass(frozen=True)
class InlineReply:
    """Items, best first, and the time from sending the request to having its reply."""

    items: tuple[CompletionItem, ...]
    elapsed_ms: float


@dataclass(frozen=True)
class ReplyCounts:
    """Requests by how often the server has replied to them. Each must have one reply in the end."""

    num_requests: int
    num_unanswered: int
    num_answered_twice: int
    num_unknown: int
    """Replies to requests that were never made."""


class _ClientProtocol(LanguageServerProtocol):
    """pygls' protocol; a reply to a request that was given up meanwhile is counted and dropped."""

    def __init__(self, server: Any, converter: Any) -> None:
        super().__init__(server, converter)
        self.unanswered: set[Any] = set()
        self.num_requests = 0
        self.surplus: Counter[str] = Counter()

    def note_request(self) -> int:
        """The id of the next request: 1, 2, 3 ..."""
        self.num_requests += 1
        self.unanswered.add(self.num_requests)
        return self.num_requests

    def _count_reply(self, message_id: Any) -> None:
        if message_id in self.unanswered:
            self.unanswered.discard(message_id)
        elif isinstance(message_id, int) and 0 < message_id <= self.num_requests:
            self.surplus["twice"] += 1
        else:
            self.surplus["unknown"] += 1

    def _handle_response(self, msg_id: Any, result: Any = None, error: Any = None) -> None:
        self._count_reply(msg_id)
        future = self._request_futures.get(msg_id)
        if future is not None and future.done():
            self._request_futures.pop(msg_id, None)
            return
        super()._handle_response(msg_id, result, error)


class _PyglsClient(LanguageClient):
    """pygls' client on a process that was started elsewhere."""

    def __init__(self) -> None:
        super().__init__("completion-server-client", __version__, protocol_cls=_ClientProtocol)

    def connect(self, process: asyncio.subprocess.Process) -> asyncio.Task[None]:
        """Read and write the process' pipes from now on; the task ends with the process' output."""
        assert process.stdin is not None
        assert process.stdout is not None
        self.protocol.set_writer(process.stdin)
        reading = asyncio.ensure_future(
            run_async(self._stop_event, process.stdout, self.protocol, log, self.report_server_error)
        )
        reading.add_done_callback(self._fail_pending)
        return reading

    def report_server_error(self, error: Exception, source: Any) -> None:
        log.warning("%s: %s", getattr(source, "__name__", source), error)

    def _fail_pending(self, _reading: asyncio.Future[None]) -> None:
        for future in list(self.protocol._request_futures.values()):
            if not future.done():
                future.set_exception(CompletionServerError(_ENDED))


class EditorClient:
    """One server process and the documents open in it. Columns are in code points."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        configuration: Mapping[str, Any] | None,
        on_progress: OnProgress | None,
    ) -> None:
        self.initialize_result: types.InitializeResult | None = None
        self.log_messages: list[str] = []
        """What the server wrote to the editor's log or showed to the user, oldest first."""
        self._process = process
        self._client = _PyglsClient()
        self._reading = self._client.connect(process)
        self._configuration = dict(configuration or {})
        self._on_progress = on_progress or _ignore_progress
        self._versions: dict[str, int] = {}
        self._register_features()

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        command: Sequence[str],
        *,
        initialization_options: Mapping[str, Any] | None = None,
        on_progress: OnProgress | None = None,
        root: Path | None = None,
        stderr: IO[Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> AsyncIterator[EditorClient]:
        """Start ``command``, initialize it, and end it in the end, if need be by force after 5 seconds.

        Its stderr is ``stderr`` and its environment ``env``, or this process' own. Raises CompletionServerError
        when it cannot be started.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr, env=env
            )
        except OSError as error:
            raise CompletionServerError(f"cannot start {command[0]}: {error}") from error
        editor = cls(process, initialization_options, on_progress)
        try:
            await editor._initialize(root)
            yield editor
        finally:
            await editor._leave()

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    @property
    def reply_counts(self) -> ReplyCounts:
        """Whether every request so far was answered, and once."""
        protocol = self._protocol
        surplus = protocol.surplus
        return ReplyCounts(protocol.num_requests, len(protocol.unanswered), surplus["twice"], surplus["unknown"])

    def open(self, uri: str, text: str, language_id: str = "python") -> None:
        """Open a document as version 1."""
        self._versions[uri] = 1
        item = types.TextDocumentItem(uri=uri, language_id=language_id, version=1, text=text)
        self._client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def change(self, uri: str, start: Position, end: Position, text: str) -> None:
        """Put ``text`` in place of what lies between ``start`` and ``end``."""
        self._versions[uri] += 1
        change = types.TextDocumentContentChangePartial(range=_range_to_lsp(start, end), text=text)
        document = types.VersionedTextDocumentIdentifier(uri=uri, version=self._versions[uri])
        self._client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

    def insert(self, uri: str, position: Position, text: str) -> None:
        """Type ``text`` at ``position``."""
        self.change(uri, position, position, text)

    def delete(self, uri: str, start: Position, end: Position) -> None:
        """Remove what lies between ``start`` and ``end``."""
        self.change(uri, start, end, "")

    def close(self, uri: str) -> None:
        """Close a document."""
        del self._versions[uri]
        identifier = types.TextDocumentIdentifier(uri)
        self._client.text_document_did_close(types.DidCloseTextDocumentParams(identifier))

    async def inline_completion(
        self, uri: str, position: Position, trigger: TriggerKind = TriggerKind.AUTOMATIC
    ) -> InlineReply:
        """Ask for completions. A task that is cancelled while it waits tells the server so."""
        params = types.InlineCompletionParams(
            context=types.InlineCompletionContext(types.InlineCompletionTriggerKind(trigger.value)),
            text_document=types.TextDocumentIdentifier(uri),
            position=types.Position(position.line, position.column),
        )
        started_at = time.perf_counter()
        result = await self._request(types.TEXT_DOCUMENT_INLINE_COMPLETION, params)
        elapsed_ms = (time.perf_counter() - started_at) * 1000
        items = result.items if isinstance(result, types.InlineCompletionList) else (result or ())
        return InlineReply(tuple(_item_from_lsp(item, position) for item in items), elapsed_ms)

    async def execute_command(self, command: str, *arguments: Any) -> Any:
        """Run a ``workspace/executeCommand``, for example ``completionServer.status``."""
        params = types.ExecuteCommandParams(command=command, arguments=list(arguments))
        return await self._request(types.WORKSPACE_EXECUTE_COMMAND, params)

    async def wait_until_loaded(self) -> dict[str, Any]:
        """The server's status once its model is loaded or could not be (look at ``state``)."""
        status: dict[str, Any] = await self.execute_command("completionServer.status", {"wait": True})
        return status

    def configure(self, options: Mapping[str, Any]) -> None:
        """Replace the editor's settings and tell the server."""
        self._configuration = dict(options)
        settings = {EDITOR_SECTION: self._configuration}
        self._client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings))

    @property
    def _protocol(self) -> _ClientProtocol:
        protocol = self._client.protocol
        assert isinstance(protocol, _ClientProtocol)
        return protocol

    async def _request(self, method: str, params: Any) -> Any:
        if self._reading.done():
            raise CompletionServerError(_ENDED)
        message_id = self._protocol.note_request()
        try:
            return await self._client.protocol.send_request_async(method, params, message_id)
        except asyncio.CancelledError:
            self._client.protocol.notify(types.CANCEL_REQUEST, types.CancelParams(message_id))
            raise

    async def _initialize(self, root: Path | None) -> None:
        encodings = [types.PositionEncodingKind.Utf32, types.PositionEncodingKind.Utf16]
        capabilities = types.ClientCapabilities(
            general=types.GeneralClientCapabilities(position_encodings=encodings),
            window=types.WindowClientCapabilities(work_done_progress=True),
            workspace=types.WorkspaceClientCapabilities(configuration=True),
            experimental={EDITOR_SECTION: {"userAddresses": True}},  # all its settings are the caller's
        )
        params = types.InitializeParams(
            capabilities=capabilities,
            process_id=os.getpid(),
            root_uri=root.resolve().as_uri() if root is not None else None,
            initialization_options=self._configuration,
        )
        self.initialize_result = await self._request(types.INITIALIZE, params)
        self._client.initialized(types.InitializedParams())

    async def _leave(self) -> None:
        try:
            await asyncio.wait_for(self._say_goodbye(), _LEAVE_SECONDS)
        except Exception as error:  # noqa: BLE001 - it shall leave, whatever keeps it
            log.debug("the server did not leave by itself: %r", error)
        finally:
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
            await self._process.wait()
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def _say_goodbye(self) -> None:
        await self._request(types.SHUTDOWN, None)
        self._client.exit(None)
        await self._process.wait()

    def _register_features(self) -> None:
        handlers: dict[str, Callable[[Any], Any]] = {
            types.WORKSPACE_CONFIGURATION: self._tell_configuration,
            types.WINDOW_WORK_DONE_PROGRESS_CREATE: lambda _params: None,
            types.PROGRESS: self._show_progress,
            types.WINDOW_LOG_MESSAGE: self._keep_message,
            types.WINDOW_SHOW_MESSAGE: self._keep_message,
        }
        for method, handler in handlers.items():
            self._client.feature(method)(partial(handler))  # pygls sets attributes; a method takes none

    def _tell_configuration(self, params: types.ConfigurationParams) -> list[Any]:
        return [self._configuration if item.section == EDITOR_SECTION else None for item in params.items]

    def _show_progress(self, params: types.ProgressParams) -> None:
        value = params.value if isinstance(params.value, dict) else vars(params.value)
        percentage = value.get("percentage")
        self._on_progress(str(value.get("message") or ""), None if percentage is None else percentage / 100)

    def _keep_message(self, params: types.LogMessageParams | types.ShowMessageParams) -> None:
        self.log_messages.append(params.message)


def _ignore_progress(_message: str, _fraction: float | None) -> None:
    pass


def _range_to_lsp(start: Position, end: Position) -> types.Range:
    return types.Range(types.Position(start.line, start.column), types.Position(end.line, end.column))


def _item_from_lsp(item: types.InlineCompletionItem, position: Position) -> CompletionItem:
    text = item.insert_text if isinstance(item.insert_text, str) else item.insert_text.value
    if item.range is None:
        return CompletionItem(text, position, position)
    start, end = item.range.start, item.range.end
    return CompletionItem(text, Position(start.line, start.character), Position(end.line, end.character))
