"""``completion-server engine``: the process that holds the model for all windows, and looking after it."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typer

from completion_server.cli.option import CommonOptions
from completion_server.config import Settings
from completion_server.errors import SharedEngineError
from completion_server.logs import configure_logging
from completion_server.shared.address import EngineAddress, EngineFile, address_of, running_addresses
from completion_server.shared.start import OCCUPIED
from completion_server.shared.visit import stop_engine, visit

if TYPE_CHECKING:
    from completion_server.engine_host.http_server import HttpOptions

_LOCK_SECONDS = 10.0  # for the engine that is replaced to leave


def run_detached(directory: Path) -> None:
    """As a window starts it: settings come on stdin, one line goes to stdout, and the window is not waited for."""
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=Settings)
    if hasattr(os, "fork") and os.fork():
        os._exit(0)  # the window waits for this process; the engine belongs to nobody
    configure_logging(settings.log_level)
    address = address_of(settings.model, directory)
    from completion_server.engine_host.process import EngineOptions, run_engine

    process = EngineOptions(idle_seconds=60.0 * settings.model.shared_idle_minutes)
    _end(run_engine(settings, address, process, _announce_and_close))


@dataclass(frozen=True)
class HttpChoice:
    """HTTP as asked for on the command line: HOST:PORT, and whether other machines may ask."""

    address: str
    allow_remote: bool


def run_foreground(options: CommonOptions, idle_minutes: int | None, http: HttpChoice | None) -> None:
    """As a user starts it: until Ctrl-C, or nobody is connected for ``idle_minutes`` (None: no such end).

    An engine of the same model that windows have started is replaced; they go on with this one.
    """
    from completion_server.engine_host.process import EngineOptions, run_engine

    settings = options.resolve().settings
    address = address_of(settings.model)
    token_path, http_options = _http_options(http)

    def announce(said: str) -> None:
        if said == OCCUPIED:
            raise SharedEngineError(
                f"an engine for {settings.model.name} runs already and does not leave:"
                " completion-server engine --status"
            )
        typer.echo(f"serving {settings.model.name} to all windows; Ctrl-C ends it", err=True)
        if http_options is not None:
            typer.echo(f"HTTP at {said.partition(' ')[2]}, for requests with the token in {token_path}", err=True)

    with suppress(SharedEngineError):
        stop_engine(address)
    idle_seconds = None if idle_minutes is None else 60.0 * idle_minutes
    process = EngineOptions(idle_seconds, _LOCK_SECONDS, http_options)
    _end(run_engine(settings, address, process, announce))


def show_status(*, as_json: bool) -> None:
    """The engines that run, of all models."""
    found = [status for address in running_addresses() if (status := _look(address)) is not None]
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    if not found:
        typer.echo("no shared engine runs")
    for status in found:
        typer.echo(
            f"{status['name']}: {status['state']}, process {status['pid']}, windows: {status['num_windows']},"
            f" log {status['log']}"
        )


def stop_all() -> None:
    """End the engines that run; windows start a new one when they need it."""
    num_stopped = 0
    for address in running_addresses():
        try:
            stop_engine(address)
        except SharedEngineError as error:
            logging.getLogger(__name__).debug("%s: %s", address.file_path, error)
            continue
        num_stopped += 1
    typer.echo(f"engines stopped: {num_stopped}")


def _look(address: EngineAddress) -> dict[str, Any] | None:
    try:
        file: EngineFile = address.read_file()
        return {**visit(address), "name": file.model, "version": file.version, "log": str(address.log_path)}
    except SharedEngineError:
        return None  # one that was killed leaves its file


def _http_options(http: HttpChoice | None) -> tuple[Path | None, HttpOptions | None]:
    """The file of the token, and what to serve."""
    if http is None:
        return None, None
    from completion_server.engine_host.http_server import (
        HttpOptions,
        default_token_path,
        parse_http_address,
    )
    from completion_server.shared.token_file import read_or_make_token

    host, port = parse_http_address(http.address, allow_remote=http.allow_remote)
    path = default_token_path()
    return path, HttpOptions(host, port, read_or_make_token(path))


def _announce_and_close(said: str) -> None:
    sys.stdout.write(said + "\n")
    sys.stdout.flush()
    # The window's end of the pipe closes with the window; nothing may be written there again.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _end(exit_code: int) -> None:
    """Without the interpreter's own way out: a thread may be inside of a library that computes."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(exit_code)
