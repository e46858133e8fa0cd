"""Windows come and go: the engine's socket, one session per window, and leaving when nobody is here for long."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec

from completion_server.engine.engine import GenerationResult
from completion_server.engine_host.host import Announcement, EngineHost, Question
from completion_server.engine_host.scheduler import Job, SkippedError, Urgency
from completion_server.errors import CompletionServerError
from completion_server.request import Deadline, FinishReason
from completion_server.shared.address import EngineAddress, EngineFile
from completion_server.shared.wire import (
    HEADER_BYTES,
    Apply,
    Cancel,
    Clear,
    FromEngine,
    FromWindow,
    Generate,
    Generated,
    Hello,
    Leaving,
    LoadFailed,
    Look,
    Number,
    NumMissing,
    Prefill,
    Ready,
    Refused,
    Stop,
    decode_from_window,
    encode_frame,
    frame_length,
    unpack_rules,
)

log = logging.getLogger(__name__)

_GREETING_SECONDS = 5.0
_FAILED_SECONDS = 5.0  # for the window that started the engine to hear why the model cannot be loaded
_MAX_UNSENT_BYTES = 8 << 20


class EngineServer:
    """The sessions of one engine process. Lives on the event loop."""

    def __init__(self, address: EngineAddress, model_name: str, idle_seconds: float | None) -> None:
        """``idle_seconds`` None: stay until somebody ends it."""
        self._address = address
        self._model_name = model_name
        self._idle_seconds = idle_seconds
        self._token = secrets.token_urlsafe(32)
        self._loop = asyncio.get_running_loop()
        self._sessions: set[Session] = set()
        self._finished = asyncio.Event()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._listener: asyncio.Server | None = None
        self._num_sessions = 0
        self._num_guests = 0
        self.host: EngineHost | None = None
        self.exit_code = 0

    def post(self, announcement: Announcement) -> None:
        """Tell all windows; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is gone
            self._loop.call_soon_threadsafe(self._tell, announcement)

    async def listen(self) -> None:
        """Take connections from now on; the engine's file says where."""
        address = self._address
        if address.has_unix_socket:
            address.socket_path.unlink(missing_ok=True)
            self._listener = await asyncio.start_unix_server(self._take, str(address.socket_path))
            address.socket_path.chmod(0o600)
            port = 0
        else:
            self._listener = await asyncio.start_server(self._take, "127.0.0.1", 0)
            port = self._listener.sockets[0].getsockname()[1]
        address.write_file(EngineFile(os.getpid(), self._token, port, self._model_name))
        self._watch_idleness()

    async def wait_until_finished(self) -> None:
        """Return when the engine shall end; then nobody is connected any more."""
        await self._finished.wait()
        assert self._listener is not None
        self._listener.close()
        self._address.remove_files()
        for session in list(self._sessions):
            await session.leave()

    def finish(self, message: str) -> None:
        """End the engine."""
        if not self._finished.is_set():
            log.info("leaving: %s", message)
            for session in self._sessions:
                session.send(Leaving(message))
            self._finished.set()

    def is_token(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())

    @contextlib.contextmanager
    def guest(self) -> Any:
        """Somebody who keeps the engine from leaving without being a window (an HTTP request)."""
        self._num_guests += 1
        self._watch_idleness()
        try:
            yield
        finally:
            self._num_guests -= 1
            self._watch_idleness()

    def describe(self) -> dict[str, Any]:
        """For users: the engine's status and who is connected."""
        windows = [session for session in self._sessions if not session.is_visitor]
        host = self.host
        status = host.state_for("").status if host is not None else {}
        state = type(host.announcement).__name__.lower() if host is not None else "starting"
        return {
            "state": state,
            "pid": os.getpid(),
            "num_windows": len(windows),
            "num_waiting": host.num_waiting if host is not None else 0,
            "model": status,
        }

    def apply_settings(self) -> None:
        """The largest prefix cache and the shortest chunk that any window wants."""
        wishes = [session.wish for session in self._sessions if session.wish is not None]
        if wishes and self.host is not None:
            self.host.apply(max(wish.prefix_cache_mb for wish in wishes), min(w.prefill_chunk_ms for w in wishes))

    def window_changed(self) -> None:
        """A window was greeted or has left."""
        self._watch_idleness()
        self.apply_settings()
        if any(session.is_greeted for session in self._sessions):
            self._finish_if_failed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._num_sessions += 1
        session = Session(self, f"window {self._num_sessions}", reader, writer)
        self._sessions.add(session)
        try:
            await session.serve()
        finally:
            self._sessions.discard(session)
            self.window_changed()

    def _tell(self, announcement: Announcement) -> None:
        for session in self._sessions:
            if session.is_greeted:
                session.send(announcement)
        if isinstance(announcement, Ready):
            self.apply_settings()
        if isinstance(announcement, LoadFailed):
            self.exit_code = 1
            self._loop.call_later(0.0 if self._idle_seconds is None else _FAILED_SECONDS, self._finish_if_failed)
            if any(session.is_greeted for session in self._sessions):
                self._finish_if_failed()

    def _finish_if_failed(self) -> None:
        if self.host is not None and isinstance(self.host.announcement, LoadFailed):
            self.finish(self.host.announcement.message)

    def _watch_idleness(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        is_used = self._num_guests > 0 or any(not session.is_visitor for session in self._sessions)
        if self._idle_seconds is not None and not is_used:
            self._idle_timer = self._loop.call_later(
                self._idle_seconds, self.finish, "nobody was here for so long as the settings say"
            )


class Session:
    """One window, from its greeting to the end of its stream."""

    def __init__(
        self, server: EngineServer, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._name = name
        self._reader, self._writer = reader, writer
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[int, Job] = {}
        self.is_greeted = False
        self.is_visitor = True  # until it says what it wants
        self.wish: Apply | None = None

    async def serve(self) -> None:
        """Answer until the window leaves, or says what no window says."""
        try:
            greeting = await asyncio.wait_for(self._read(), _GREETING_SECONDS)
            if not isinstance(greeting, Hello) or not self._server.is_token(greeting.token):
                log.warning("a client without this engine's token was turned away")
                return
            self._greet(greeting)
            while True:
                self._handle(await self._read())
        except (asyncio.IncompleteReadError, asyncio.TimeoutError, OSError):
            pass  # it has left
        except CompletionServerError as error:
            log.warning("%s is disconnected: %s", self._name, error)
        finally:
            self._cancel_all()
            self._writer.close()
            if self._server.host is not None:
                self._server.host.forget(self._name)

    async def leave(self) -> None:
        """Close after what was sent has gone out."""
        self._writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 1.0)

    def send(self, message: FromEngine) -> None:
        """Without waiting; a window that reads nothing for long is disconnected."""
        if self._writer.is_closing():
            return
        self._writer.write(encode_frame(message))
        if self._writer.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            log.warning("%s reads nothing and is disconnected", self._name)
            self._writer.transport.abort()

    async def _read(self) -> FromWindow:
        header = await self._reader.readexactly(HEADER_BYTES)
        return decode_from_window(await self._reader.readexactly(frame_length(header)))

    def _greet(self, greeting: Hello) -> None:
        self.is_greeted, self.is_visitor = True, greeting.is_visitor
        if not self.is_visitor:
            self.wish = Apply(greeting.prefix_cache_mb, greeting.prefill_chunk_ms)
        if (host := self._server.host) is not None:
            announcement = host.announcement
            if isinstance(announcement, Ready):
                announcement = msgspec.structs.replace(announcement, state=host.state_for(self._name))
            self.send(announcement)
        self._server.window_changed()

    def _handle(self, message: FromWindow) -> None:
        match message:
            case Cancel(call):
                if (job := self._jobs.get(call)) is not None:
                    self._host.cancel(job)
            case Apply():
                self.wish = message
                self._server.apply_settings()
            case Stop():
                self._server.finish("asked to stop")
            case (
                Generate(call=call)
                | Prefill(call=call)
                | NumMissing(call=call)
                | Clear(call=call)
                | Look(call=call)
            ):
                try:
                    self._answer(call, message)
                except Exception as error:  # noqa: BLE001 - the window is told
                    self.send(Refused(call, type(error).__name__, str(error)))
            case Hello():
                log.debug("%s greets again", self._name)

    def _answer(self, call: int, message: Generate | Prefill | NumMissing | Clear | Look) -> None:
        host = self._host
        match message:
            case NumMissing(token_ids=token_ids):
                self.send(Number(call, host.num_missing(token_ids)))
            case Look():
                state = host.state_for(self._name)
                status = self._server.describe()
                self.send(Number(call, 0, type(state)(state.tokens_per_ms, status, state.cpu_seconds)))
            case Clear():
                self._follow(call, host.clear(self._name), None, self._number)
            case Prefill(prompt=prompt, remaining_ms=remaining_ms):
                self._cancel_all()
                self._follow(call, host.prefill(self._name, prompt, _deadline(remaining_ms)), None, self._number)
            case Generate():
                self._cancel_all()  # a window's newer request takes the place of its older one
                urgency = Urgency.IDLE if message.remaining_ms is None else Urgency.INTERACTIVE
                question = Question(
                    message.prompt,
                    message.sampling,
                    unpack_rules(message.rules),
                    _deadline(message.remaining_ms),
                    message.num_alternatives,
                )
                job = host.generate(self._name, question, urgency)
                self._follow(call, job, message.remaining_ms, self._generated)

    @property
    def _host(self) -> EngineHost:
        if self._server.host is None:
            raise CompletionServerError("the engine is starting")
        return self._server.host

    def _follow(
        self, call: int, job: Job, remaining_ms: float | None, answer: Callable[[int, Any], FromEngine]
    ) -> None:
        self._jobs[call] = job
        timer: asyncio.TimerHandle | None = None
        if remaining_ms is not None:
            timer = self._loop.call_later(max(remaining_ms, 0.0) / 1000, self._host.expire, job)

        def settle(future: Future[Any]) -> None:
            if timer is not None:
                timer.cancel()
            self._jobs.pop(call, None)
            self.send(_outcome(call, future, answer))

        def on_done(future: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone
                self._loop.call_soon_threadsafe(settle, future)

        job.future.add_done_callback(on_done)

    def _generated(self, call: int, outcome: Any) -> FromEngine:
        if isinstance(outcome, FinishReason):
            outcome = GenerationResult((), outcome)
        return Generated(call, outcome, self._host.state_for(self._name))

    def _number(self, call: int, outcome: Any) -> FromEngine:
        value = 0 if isinstance(outcome, FinishReason) else outcome
        return Number(call, value, self._host.state_for(self._name))

    def _cancel_all(self) -> None:
        for job in list(self._jobs.values()):
            self._host.cancel(job)


def _outcome(call: int, future: Future[Any], answer: Callable[[int, Any], FromEngine]) -> FromEngine:
    error = future.exception()
    if error is None:
        return answer(call, future.result())
    if isinstance(error, SkippedError):
        return answer(call, error.reason)
    log.error("work for a window failed", exc_info=error)
    return Refused(call, type(error).__name__, str(error))


def _deadline(remaining_ms: float | None) -> Deadline:
    return Deadline.never() if remaining_ms is None else Deadline.after_ms(remaining_ms)
