"""``completion-server serve``: the language server over stdio or a loopback port. Imports nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from completion_server.config import Options, Settings
from completion_server.errors import ConfigError
from completion_server.logs import configure_logging
from completion_server.lsp.job import BuildService, ReportProgress, Service
from completion_server.lsp.server import leave, run_connected, run_stdio, run_tcp
from completion_server.lsp.tcp import connect_to_client, parse_address


@dataclass(frozen=True)
class TcpChoice:
    """HOST:PORT as asked for on the command line, and the file of the token that a client has to bring."""

    address: str
    token_file: Path | None = None


@dataclass(frozen=True)
class ClientChoice:
    """How to reach a client that listens itself, and the process to end with."""

    pipe: str | None = None
    port: int | None = None
    process_id: int | None = None


def run(
    tcp: TcpChoice | None,
    model_options: Mapping[str, object],
    log_level: str | None = None,
    client: ClientChoice = ClientChoice(),
) -> None:
    """Serve until the client leaves, then end the process with the exit code that LSP asks for.

    ``model_options`` (names of ``ModelSettings``) and ``log_level`` win over every other source of settings; None
    leaves a setting alone.
    """
    build_service = ServiceBuilder()
    overrides: Options = _without_none({"log_level": log_level, "model": _without_none(model_options)})
    configure_logging(Settings().log_level)
    try:
        if client.pipe is not None or client.port is not None:
            channel = connect_to_client(client.pipe, client.port)
            exit_code = run_connected(build_service, channel, overrides, client.process_id)
        elif tcp is None:
            exit_code = run_stdio(build_service, overrides, client.process_id)
        else:
            token = None if tcp.token_file is None else _token_in(tcp.token_file)
            host, port = parse_address(tcp.address)
            exit_code = run_tcp(build_service, host, port, overrides, _announce, token)
    except ConfigError as error:
        sys.stderr.write(f"completion-server: {error}\n")
        raise SystemExit(2) from None
    leave(exit_code)


class ServiceBuilder:
    """Loads the model, or finds who has it, on the model thread; what computes is imported there."""

    def __init__(self) -> None:
        self._build: BuildService | None = None

    def __call__(self, settings: Settings, report_progress: ReportProgress) -> Service:
        if self._build is None:
            from completion_server import bootstrap

            self._build = bootstrap.SharedServiceBuilder()
        return self._build(settings, report_progress)


def _token_in(path: Path) -> str:
    from completion_server.shared.token_file import read_or_make_token

    return read_or_make_token(path.expanduser())


def _announce(host: str, port: int) -> None:
    sys.stderr.write(f"listening on {host}:{port}\n")
    sys.stderr.flush()


def _without_none(options: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in options.items() if value not in (None, {})}
