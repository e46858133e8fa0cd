"""JSON-RPC and the life of an LSP connection, on top of pygls: every request gets exactly one reply.

Owns the message loop's rules (what is answered when, and with which code) in place of pygls' own dispatch,
whose gaps the tests of this module name one by one. Knows nothing of documents, models or settings.
LSP 3.18, "Base Protocol", "Server lifecycle", "Cancellation Support"; JSON-RPC 2.0.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum
from functools import partial
from typing import Any, Protocol, TypeGuard

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.protocol import LanguageServerProtocol

from completion_server.lsp.convert import essential_initialize_params, first_problem, with_trigger_kind

log = logging.getLogger(__name__)

MessageId = int | str
Handler = Callable[[Any], Any]
"""Takes the decoded params on the event loop and returns the result or something to await.

A handler runs at once, before the next message is looked at, also when it returns an awaitable: that is where
a document snapshot is taken. (A coroutine's own first stretch only runs after messages already queued.)
"""

PARSE_ERROR = types.ErrorCodes.ParseError.value
INVALID_REQUEST = types.ErrorCodes.InvalidRequest.value
METHOD_NOT_FOUND = types.ErrorCodes.MethodNotFound.value
INVALID_PARAMS = types.ErrorCodes.InvalidParams.value
INTERNAL_ERROR = types.ErrorCodes.InternalError.value
NOT_INITIALIZED = types.ErrorCodes.ServerNotInitialized.value
REQUEST_CANCELLED = types.LSPErrorCodes.RequestCancelled.value


class Lifecycle(Enum):
    """Where the connection stands; LSP 3.18 "Server lifecycle"."""

    UNINITIALIZED = "uninitialized"
    RUNNING = "running"
    SHUT_DOWN = "shut down"


class MessageWriter(Protocol):
    """Takes whole messages, never blocks the caller, keeps their order."""

    def write(self, data: bytes) -> None: ...


class ServerProtocol(LanguageServerProtocol):
    """The server's side of one connection."""

    def __init__(self, server: Any, converter: Any) -> None:
        super().__init__(server, converter)
        self.lifecycle = Lifecycle.UNINITIALIZED
        self.arrived_at = 0.0
        """Monotonic instant at which the message now being handled was read; valid inside a handler's call."""
        self.on_exit: Callable[[], None] = lambda: None
        self._handlers: dict[str, Handler] = {}
        self._running: dict[MessageId, asyncio.Future[Any]] = {}

    def register(self, method: str, handler: Handler) -> None:
        """Let ``handler`` answer ``method``; ``$/cancelRequest`` and ``exit`` are handled here."""
        self._handlers[method] = handler

    def prepare_decoding(self) -> None:
        """Build the converters that would otherwise cost the first key press some milliseconds."""
        for method in self._handlers:
            if (message_type := self.get_message_type(method)) is not None:
                self._converter.get_structure_hook(message_type)
        self._converter.unstructure(types.InlineCompletionList(items=[]))

    @property
    def num_unanswered(self) -> int:
        """Requests of the client that have no reply yet."""
        return len(self._running)

    @property
    def num_unanswered_by_client(self) -> int:
        """Requests of ours that the client has not answered yet."""
        return len(self._request_futures)

    @property
    def exit_code(self) -> int:
        """LSP 3.18 "Exit Notification": 0 after ``shutdown``, 1 otherwise."""
        return 0 if self.lifecycle is Lifecycle.SHUT_DOWN else 1

    def receive(self, body: bytes, arrived_at: float) -> None:
        """Handle one message body. Never raises; must run on the event loop."""
        self.arrived_at = arrived_at
        try:
            message = json.loads(body)
        except (ValueError, RecursionError) as error:
            self.report_broken_message(f"not valid JSON: {type(error).__name__}")
            return
        if isinstance(message, dict):
            self._receive_object(message)
            return
        # LSP forbids batches; whoever sends one still gets an answer to each of its requests.
        entries = message if isinstance(message, list) else []
        ids = [e["id"] for e in entries if isinstance(e, dict) and "method" in e and _is_id(e.get("id"))]
        for message_id in ids or [None]:
            self._reply_error(message_id, INVALID_REQUEST, "a message must be one JSON object")

    def report_broken_message(self, problem: str) -> None:
        """Answer something that could not be read at all (JSON-RPC 2.0: id null) and go on."""
        log.warning("a message was dropped: %s", problem)
        self._reply_error(None, PARSE_ERROR, problem)

    def cancel_all(self) -> None:
        """Answer everything that is still running as cancelled."""
        for message_id in list(self._running):
            self._cancel(message_id)

    def _register_builtin_features(self) -> None:
        """None: pygls' own handlers keep documents by its own line rule and leak a future per notification."""

    def _receive_object(self, message: dict[str, Any]) -> None:
        if "method" not in message and "id" in message and ("result" in message or "error" in message):
            self._receive_response(message)
            return
        method, message_id = message.get("method"), message.get("id")
        if message.get("jsonrpc") != "2.0" or not isinstance(method, str):
            answerable = message_id if _is_id(message_id) else None
            self._reply_error(answerable, INVALID_REQUEST, "not a JSON-RPC 2.0 message")
        elif "id" not in message:
            self._receive_notification(method, message)
        elif not _is_id(message_id):
            self._reply_error(None, INVALID_REQUEST, "a request's id must be an integer or a string")
        elif (refusal := self._refusal(message_id, method)) is not None:
            self._reply_error(message_id, *refusal)
        else:
            self._receive_request(message_id, method, message)

    def _refusal(self, message_id: MessageId, method: str) -> tuple[int, str] | None:
        """Error code and message for a request that may not run now."""
        if message_id in self._running:
            return INVALID_REQUEST, f"a request with id {message_id!r} is still running"
        if self.lifecycle is Lifecycle.SHUT_DOWN:
            return INVALID_REQUEST, "the server is shut down"
        if self.lifecycle is Lifecycle.UNINITIALIZED and method != types.INITIALIZE:
            return NOT_INITIALIZED, "initialize must come first"
        if self.lifecycle is Lifecycle.RUNNING and method == types.INITIALIZE:
            return INVALID_REQUEST, "already initialized"
        if method not in self._handlers and method != types.SHUTDOWN:
            return METHOD_NOT_FOUND, f"unknown method {method!r}"
        return None

    def _receive_request(self, message_id: MessageId, method: str, message: dict[str, Any]) -> None:
        if method == types.SHUTDOWN:
            self._shut_down(message_id)
            return
        try:
            params = self._decode(method, message)
            result = self._handlers[method](params)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets its one reply
            self._reply_failure(message_id, method, error)
            return
        if method == types.INITIALIZE:
            self.lifecycle = Lifecycle.RUNNING
        if not inspect.isawaitable(result):
            self._reply(message_id, result)
            return
        future = asyncio.ensure_future(result)
        self._running[message_id] = future
        future.add_done_callback(partial(self._finish, message_id, method))

    def _shut_down(self, message_id: MessageId) -> None:
        self.cancel_all()
        self.lifecycle = Lifecycle.SHUT_DOWN
        self._shutdown = True
        if (handler := self._handlers.get(types.SHUTDOWN)) is not None:
            self._call_quietly(types.SHUTDOWN, handler, None)
        self._reply(message_id, None)

    def _receive_notification(self, method: str, message: dict[str, Any]) -> None:
        if method == types.EXIT:
            self.on_exit()
            return
        if self.lifecycle is not Lifecycle.RUNNING:
            return  # LSP: "Notifications should be dropped, except for the exit notification."
        if method != types.CANCEL_REQUEST and method not in self._handlers:
            log.debug("notification %s is not handled", method)
            return
        try:
            params = self._decode(method, message)
        except JsonRpcInvalidParams as error:
            log.warning("notification %s is ignored: %s", method, error)
            return
        if method == types.CANCEL_REQUEST:
            if _is_id(params.id):  # lsprotocol lets other values through
                self._cancel(params.id)
        else:
            self._call_quietly(method, self._handlers[method], params)

    def _call_quietly(self, method: str, handler: Handler, params: Any) -> None:
        """Run a handler that has no reply; its failure is logged, never shown to the user."""
        try:
            result = handler(params)
        except Exception:
            log.exception("%s failed", method)
            return
        if inspect.isawaitable(result):
            asyncio.ensure_future(result).add_done_callback(partial(_log_failure, method))

    def _decode(self, method: str, message: dict[str, Any]) -> Any:
        """The params of ``message`` as lsprotocol's type. Raises JsonRpcInvalidParams without echoing values."""
        message_type = self.get_message_type(method)
        if message_type is None:
            return message.get("params")
        if method == types.TEXT_DOCUMENT_INLINE_COMPLETION:
            message = with_trigger_kind(message)
        try:
            return self._converter.structure(message, message_type).params
        except Exception as error:
            if method != types.INITIALIZE:
                raise JsonRpcInvalidParams(first_problem(error)) from error
        # One value that lsprotocol does not know, somewhere in a newer editor's capabilities, is no reason to
        # refuse to serve it.
        return self._decode_initialize(message, message_type)

    def _decode_initialize(self, message: dict[str, Any], message_type: Any) -> Any:
        log.warning("some of the client's capabilities are not understood; only the needed ones are read")
        try:
            essential = {**message, "params": essential_initialize_params(message.get("params"))}
            return self._converter.structure(essential, message_type).params
        except Exception as error:
            raise JsonRpcInvalidParams(first_problem(error)) from error

    def _cancel(self, message_id: MessageId) -> None:
        """Reply at once; the handler learns of it by its future, and whatever it still returns is dropped."""
        future = self._running.pop(message_id, None)
        if future is None:
            return
        self._reply_error(message_id, REQUEST_CANCELLED, f"request {message_id!r} is cancelled")
        future.cancel()

    def _finish(self, message_id: MessageId, method: str, future: asyncio.Future[Any]) -> None:
        answered_already = self._running.get(message_id) is not future
        if not answered_already:
            del self._running[message_id]
        if future.cancelled():
            if not answered_already:
                self._reply_error(message_id, REQUEST_CANCELLED, f"request {message_id!r} is cancelled")
        elif (error := future.exception()) is not None:
            if not answered_already and isinstance(error, Exception):
                self._reply_failure(message_id, method, error)
        elif not answered_already:
            self._reply(message_id, future.result())

    def _receive_response(self, message: dict[str, Any]) -> None:
        message_id = message["id"] if _is_id(message["id"]) else ""
        future: Future[Any] | None = self._request_futures.pop(message_id, None)
        result_type = self._result_types.pop(message_id, None)
        if future is None or future.done():
            return
        error = message.get("error")
        if error is not None:
            text = str(error.get("message")) if isinstance(error, dict) else "malformed error"
            future.set_exception(JsonRpcException(text))
            return
        try:
            result = self._converter.structure(message, result_type).result if result_type else None
        except Exception as failure:  # noqa: BLE001 - handed to the one who waits
            future.set_exception(JsonRpcInvalidParams(first_problem(failure)))
            return
        future.set_result(result)

    def _reply(self, message_id: MessageId, result: Any) -> None:
        self._send_data({"jsonrpc": "2.0", "id": message_id, "result": result})

    def _reply_failure(self, message_id: MessageId, method: str, error: Exception) -> None:
        if isinstance(error, JsonRpcException):
            self._reply_error(message_id, error.code, error.message)
            return
        log.error("%s failed", method, exc_info=error)
        self._reply_error(message_id, INTERNAL_ERROR, f"{method} failed: {type(error).__name__}")

    def _reply_error(self, message_id: MessageId | None, code: int, message: str) -> None:
        error = {"code": code, "message": message}
        self._send_data({"jsonrpc": "2.0", "id": message_id, "error": error})

    def _send_data(self, data: Any) -> None:
        """Write one message. pygls' own would log its text, which may be the user's source."""
        if self.writer is None:
            return
        body = json.dumps(data, default=self._serialize_message, separators=(",", ":")).encode("ascii")
        self.writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)


def _is_id(value: object) -> TypeGuard[MessageId]:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _log_failure(method: str, future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        log.error("%s failed", method, exc_info=error)
