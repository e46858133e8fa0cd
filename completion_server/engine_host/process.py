"""The engine process: one per address, from taking the lock to leaving."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from completion_server import bootstrap
from completion_server.config import Settings
from completion_server.engine_host.host import EngineHost, HostedModel, Progress
from completion_server.engine_host.http_server import HttpOptions, serving_http
from completion_server.engine_host.server import EngineServer
from completion_server.scheduling import expect_many_switches, pass_on_quickly
from completion_server.shared.address import EngineAddress
from completion_server.shared.start import LISTENING, OCCUPIED

log = logging.getLogger(__name__)

_THREAD_SECONDS = 1.0


Load = Callable[[Settings, Progress], HostedModel]


@dataclass(frozen=True)
class EngineOptions:
    """How an engine process behaves.

    ``idle_seconds``: it leaves so long after the last window; None: never. ``lock_seconds``: how long to wait for
    another one to leave. ``http``: also serve HTTP there.
    """

    idle_seconds: float | None = None
    lock_seconds: float = 0.0
    http: HttpOptions | None = None


def run_engine(
    settings: Settings,
    address: EngineAddress,
    options: EngineOptions,
    announce: Callable[[str], None],
    load: Load | None = None,
) -> int:
    """Serve the engine of ``settings`` at ``address`` until it is asked to stop or nobody is here any more.

    Says LISTENING or, when another process holds the address, OCCUPIED through ``announce``; where HTTP is served,
    its address follows LISTENING after a space. Returns the exit code: 1 when the model cannot be loaded.
    """
    lock = FileLock(address.lock_path, mode=0o600)
    try:
        lock.acquire(timeout=options.lock_seconds)
    except Timeout:
        announce(OCCUPIED)
        return 0
    expect_many_switches()
    pass_on_quickly()  # the event loop; the scheduler's thread computes
    try:
        return asyncio.run(_serve(settings, address, options, announce, load or load_model))
    finally:
        lock.release()


def load_model(settings: Settings, progress: Progress) -> HostedModel:
    """Fetch (first time only) and load the model of ``settings``. Raises ModelError."""
    resolved = bootstrap.resolve(settings, progress)
    cache_dir = bootstrap.cache_dir_of(settings.model)
    loaded = bootstrap.load_engine_from_directory(Path(resolved.path), settings, cache_dir, progress)
    return HostedModel(
        loaded.engine,
        loaded.tokenizer,
        str(loaded.directory.resolve()),
        loaded.model_type,
        loaded.max_context,
        resolved.fim_format,
    )


async def _serve(
    settings: Settings,
    address: EngineAddress,
    options: EngineOptions,
    announce: Callable[[str], None],
    load: Load,
) -> int:
    server = EngineServer(address, settings.model.name, options.idle_seconds)
    host = server.host = EngineHost(lambda progress: load(settings, progress), server.post)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; another thread (tests)
            loop.add_signal_handler(number, server.finish, signal.Signals(number).name)
    async with contextlib.AsyncExitStack() as stack:
        said = LISTENING
        if options.http is not None:
            said += " " + await stack.enter_async_context(serving_http(server, settings, options.http))
        await server.listen()
        announce(said)
        host.start()
        try:
            await server.wait_until_finished()
        finally:
            host.stop()
    host.join(_THREAD_SECONDS)
    return server.exit_code
