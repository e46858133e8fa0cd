"""The HTTP side of the engine: OpenAI's ``/v1/completions`` and llama.cpp's ``/infill``, for other tools.

A request gives way to those of editors, and ends with its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from completion_server.config import Settings
from completion_server.engine.engine import GenerationResult
from completion_server.engine.stopping import StopRule, TextReached
from completion_server.engine_host.host import EngineHost, Question
from completion_server.engine_host.http_limits import HttpLimits
from completion_server.engine_host.http_message import (
    MAX_BODY_BYTES,
    CompletionBody,
    CompletionReply,
    InfillBody,
    InfillReply,
    RefusedError,
    SamplingFields,
    Spell,
    decode_completion,
    decode_infill,
    error_body,
    stop_texts,
    too_long,
)
from completion_server.engine_host.http_prompt import HttpPrompts
from completion_server.engine_host.scheduler import Job, SkippedError, Urgency
from completion_server.errors import CompletionServerError, RequestError
from completion_server.model import Prompt, SamplingParams
from completion_server.request import Deadline, FinishReason
from completion_server.shared.wire import LoadFailed

log = logging.getLogger(__name__)

_OPEN_PATHS = frozenset({"/health"})

Prepared = TypeVar("Prepared")


class Guests(Protocol):
    """``EngineServer`` as far as it is needed here."""

    def guest(self) -> contextlib.AbstractContextManager[None]: ...


class HttpApi:
    """Endpoints over one engine. Lives on the event loop."""

    def __init__(self, host: EngineHost, guests: Guests, settings: Settings, limits: HttpLimits) -> None:
        self._host = host
        self._guests = guests
        self._settings = settings
        self._body_seconds = limits.body_seconds
        self._prompts: HttpPrompts | None = None
        self._numbers = itertools.count(1)
        # Decoding and encoding take up to tenths of a second, and the loop passes on what windows ask.
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="http")

    def app(self, token: str, allowed_hosts: frozenset[str]) -> ASGIApp:
        """``allowed_hosts`` are what the Host header may name, without ports."""
        routes = [
            Route("/health", self.health),
            Route("/v1/models", self.models),
            Route("/v1/completions", self.completions, methods=["POST"]),
            Route("/infill", self.infill, methods=["POST"]),
        ]
        handlers: Mapping[Any, Any] = {
            CompletionServerError: _on_own_error,
            ClientDisconnect: _on_disconnect,
            404: _on_missing,
            405: _on_missing,
        }
        return Guard(Starlette(routes=routes, exception_handlers=handlers), token, allowed_hosts)

    def close(self) -> None:
        """Nothing is prepared any more."""
        self._preparing.shutdown(wait=False, cancel_futures=True)

    async def health(self, _request: Request) -> Response:
        if self._host.model is not None:
            return _json({"status": "ok"})
        is_failed = isinstance(self._host.announcement, LoadFailed)
        return _json(error_body(503, "the model cannot be loaded" if is_failed else "Loading model"), 503)

    async def models(self, _request: Request) -> Response:
        entry = {"id": self._name, "object": "model", "owned_by": "completion-server"}
        return _json({"object": "list", "data": [entry]})

    async def completions(self, request: Request) -> Response:
        body, prompt, num_tokens = await self._prepared(self._completion, request)
        run = self._run(request, prompt, body, num_tokens, Deadline.never(), body.n)
        reply = CompletionReply(self._name)
        if not body.stream:
            assert self._host.model is not None
            spell = None if body.logprobs is None else Spell(self._host.model.tokenizer.token_bytes)
            return _json(reply.whole(await run.whole(), spell))
        with_usage = bool((body.stream_options or {}).get("include_usage"))

        async def events() -> AsyncIterator[bytes]:
            async for piece in run.pieces():
                yield _event(reply.piece(piece))
            for last in reply.last(run.result, with_usage=with_usage):
                yield _event(last)
            yield b"data: [DONE]\n\n"

        return StreamingResponse(_with_error(events()), media_type="text/event-stream")

    async def infill(self, request: Request) -> Response:
        body, prompt, num_tokens = await self._prepared(self._infill, request)
        limit_ms = body.t_max_predict_ms
        deadline = Deadline.after_ms(limit_ms) if limit_ms > 0 else Deadline.never()
        run = self._run(request, prompt, body, num_tokens, deadline, 1)
        reply = InfillReply(self._name)
        if not body.stream:
            result = await run.whole()
            return _json(reply.whole(result, result.generations[0].text if result.generations else ""))

        async def events() -> AsyncIterator[bytes]:
            async for piece in run.pieces():
                yield _event(reply.piece(piece))
            yield _event(reply.whole(run.result, ""))

        return StreamingResponse(_with_error(events()), media_type="text/event-stream")

    async def _prepared(self, prepare: Callable[[bytes], Prepared], request: Request) -> Prepared:
        data = await _body(request, self._body_seconds)
        return await asyncio.get_running_loop().run_in_executor(self._preparing, prepare, data)

    # On the thread that prepares

    def _completion(self, data: bytes) -> tuple[CompletionBody, Prompt, int]:
        body = decode_completion(data)
        prompts = self._loaded()
        num_tokens = 16 if body.max_tokens is None else body.max_tokens
        if body.suffix:
            if not isinstance(body.prompt, str) or not prompts.sees_suffix:
                raise RequestError("suffix needs a prompt of text and a model with a fill-in-the-middle format")
            prompt = prompts.of_place(body.prompt, body.suffix, (), num_tokens)
        elif isinstance(body.prompt, str):
            prompt = prompts.of_text(body.prompt, num_tokens)
        else:
            prompt = prompts.of_tokens([int(each) for each in body.prompt], num_tokens)
        return body, prompt, num_tokens

    def _infill(self, data: bytes) -> tuple[InfillBody, Prompt, int]:
        body = decode_infill(data)
        prompts = self._loaded()
        num_tokens = prompts.num_tokens_left(body.n_predict)
        prefix = body.input_prefix + body.prompt
        return body, prompts.of_place(prefix, body.input_suffix, body.input_extra, num_tokens), num_tokens

    @property
    def _name(self) -> str:
        return self._settings.model.name

    def _loaded(self) -> HttpPrompts:
        if self._host.model is None:
            raise RefusedError("the model is not loaded (yet)", 503)
        if self._prompts is None:
            self._prompts = HttpPrompts(self._host.model, self._settings)
        return self._prompts

    def _run(
        self,
        request: Request,
        prompt: Prompt,
        fields: SamplingFields,
        num_tokens: int,
        deadline: Deadline,
        num_choices: int,
    ) -> Run:
        sampling = SamplingParams(fields.temperature, fields.top_k, fields.top_p, fields.seed, num_tokens)
        stops = stop_texts(fields.stop)
        owner = f"http {next(self._numbers)}"

        def start(rules: Sequence[StopRule]) -> Job:
            question = Question(prompt, sampling, [TextReached(stops), *rules], deadline, num_choices)
            return self._host.generate(owner, question, Urgency.REQUEST)

        return Run(request, start, self._host, self._guests, stops)


class Run:
    """One generation for one HTTP request; it ends with the connection."""

    def __init__(
        self,
        request: Request,
        start: Callable[[Sequence[StopRule]], Job],
        host: EngineHost,
        guests: Guests,
        stops: tuple[str, ...],
    ) -> None:
        self._request = request
        self._start = start
        self._host = host
        self._guests = guests
        self._stops = stops
        self.result = GenerationResult((), FinishReason.CANCELLED)

    async def whole(self) -> GenerationResult:
        """The result. Raises ClientDisconnect when nobody waits for it any more."""
        async with self._following([]) as job:
            try:
                self.result = await asyncio.wrap_future(job.future)
            except SkippedError:
                raise ClientDisconnect from None
        if self.result.finish_reason is FinishReason.CANCELLED:
            raise ClientDisconnect
        return self.result

    async def pieces(self) -> AsyncIterator[str]:
        """Text as it comes, never any of a stop text; afterwards ``result`` is there."""
        loop = asyncio.get_running_loop()
        texts: asyncio.Queue[str | None] = asyncio.Queue()

        def tell(text: str | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(texts.put_nowait, text)

        num_sent = 0
        async with self._following([_Listener(tell)]) as job:
            job.future.add_done_callback(lambda _future: tell(None))
            while (text := await texts.get()) is not None:
                safe = text[: _safe_length(text, self._stops)]
                if len(safe) > num_sent:
                    yield safe[num_sent:]
                    num_sent = len(safe)
            with contextlib.suppress(SkippedError):  # it was cancelled before it began
                self.result = job.future.result()
            final = self.result.generations[0].text if self.result.generations else ""
            if len(final) > num_sent:
                yield final[num_sent:]

    @contextlib.asynccontextmanager
    async def _following(self, rules: Sequence[StopRule]) -> AsyncIterator[Job]:
        with self._guests.guest():
            job = self._start(rules)
            watcher = asyncio.ensure_future(self._watch(job))
            try:
                yield job
            finally:
                self._host.cancel(job)
                watcher.cancel()

    async def _watch(self, job: Job) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._host.cancel(job)


class _Listener:
    """A stop rule that stops nothing: it is shown the text after every token."""

    name = "listener"

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def find_cut(self, text: str) -> int | None:
        self._tell(text)
        return None


class Guard:
    """Who may ask: those with the token, by a name of this machine. No CORS headers, so no web page reads answers.

    The Host header is looked at because a page may let its own name point here (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, token: str, allowed_hosts: frozenset[str]) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._allowed_hosts = allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        host = _host_name(headers.get(b"host", b"").decode("latin-1"))
        if host not in self._allowed_hosts:
            await _json(error_body(403, f"not served under the name {host!r}"), 403)(scope, receive, send)
            return
        is_known = hmac.compare_digest(headers.get(b"authorization", b""), self._expected)
        if not is_known and scope["path"] not in _OPEN_PATHS:
            reply = _json(error_body(401, "the token is missing or wrong"), 401)
            reply.headers["WWW-Authenticate"] = "Bearer"
            await reply(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _host_name(header: str) -> str:
    """``header`` without its port: ``[::1]:80`` is ``::1``."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0].lower() if ":" in header else header.lower()


def _safe_length(text: str, stops: Sequence[str]) -> int:
    """How much of ``text`` comes before any stop text, and before what may be the beginning of one."""
    found = TextReached(tuple(stops)).find_cut(text)
    if found is not None:
        return found
    longest = max(map(len, stops), default=1) - 1
    lengths = range(min(longest, len(text)), 0, -1)
    return len(text) - next((n for n in lengths if any(stop.startswith(text[-n:]) for stop in stops)), 0)


async def _body(request: Request, seconds: float) -> bytes:
    try:
        return await asyncio.wait_for(_read_body(request), seconds)
    except (asyncio.TimeoutError, TimeoutError):
        raise RefusedError(f"the body did not come within {seconds:g} seconds", 408) from None


async def _read_body(request: Request) -> bytes:
    refusal = too_long(f"a body may have {MAX_BODY_BYTES} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and (len(announced) > 18 or int(announced) > MAX_BODY_BYTES):
        raise refusal
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MAX_BODY_BYTES:
            raise refusal
    return bytes(data)


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _with_error(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """``events``, and an error as the last one: the status has been sent by then."""
    try:
        async for event in events:
            yield event
    except CompletionServerError as error:
        yield _event(error_body(500, str(error)))


def _event(content: object) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


async def _on_own_error(_request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RefusedError) else 400 if isinstance(error, RequestError) else 500
    return _json(error_body(status, str(error)), status)


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it; nginx' number for the log


async def _on_missing(request: Request, error: Any) -> Response:
    return _json(
        error_body(error.status_code, f"there is no {request.method} {request.url.path}"), error.status_code
    )
