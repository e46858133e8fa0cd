"""Options that several commands share, and how they win over every other source of settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from completion_server.config import LoadedSettings, Settings, load_settings
from completion_server.logs import configure_logging
from completion_server.trust import how_to_allow, read_with_agreement

LogLevel = Literal["off", "error", "warning", "info", "debug"]

ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help="Registry name, directory, .gguf file, or Hub id (org/name)."),
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Use only what is on this disk; fetch nothing.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, max=256, metavar="N", help="CPU threads for the model.")
]
StdioOption = Annotated[bool, typer.Option("--stdio", help="Use stdin and stdout, as by default.")]
PipeOption = Annotated[
    str | None,
    typer.Option("--pipe", metavar="NAME", help="Connect to the Unix socket that the client listens at."),
]
SocketOption = Annotated[
    int | None,
    typer.Option(
        "--socket",
        min=1,
        max=65535,
        metavar="PORT",
        help="Connect to this loopback port, where the client listens.",
    ),
]
ClientProcessIdOption = Annotated[
    int | None, typer.Option("--clientProcessId", min=0, metavar="PID", help="End when this process is gone.")
]
LogLevelOption = Annotated[
    LogLevel | None, typer.Option("--log-level", help="What is written to stderr; default: warning.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@dataclass(frozen=True)
class CommonOptions:
    """The shared options as given; None or False leaves a setting alone."""

    model: str | None = None
    offline: bool = False
    threads: int | None = None

    @classmethod
    def for_each(
        cls, models: Sequence[str] | None, *, offline: bool = False, threads: int | None = None
    ) -> list[CommonOptions]:
        """One per model; of the settings' own where none is given."""
        names: Sequence[str | None] = models or [None]
        return [cls(name, offline, threads) for name in names]

    def as_overrides(self) -> dict[str, Any]:
        """The settings that are given, under the names of ``ModelSettings``."""
        overrides: dict[str, Any] = {}
        if self.model is not None:
            overrides["name"] = self.model
        if self.offline:
            overrides["offline"] = True
        if self.threads is not None:
            overrides["num_threads"] = self.threads
        return overrides

    def resolve(self, workspace: Path | None = None, environ: Mapping[str, str] | None = None) -> LoadedSettings:
        """All sources, then these options on top."""
        file = None if workspace is None else read_with_agreement(workspace)
        loaded = load_settings(file, None, environ)
        model = msgspec.structs.replace(loaded.settings.model, **self.as_overrides())
        settings: Settings = msgspec.structs.replace(loaded.settings, model=model)
        more = (how_to_allow(file, loaded.withheld),) if file is not None and loaded.withheld else ()
        return LoadedSettings(settings, (*loaded.warnings, *more), loaded.withheld)

    def server_command(self) -> list[str]:
        """How to start the same server over stdio."""
        command = [sys.executable, "-m", "completion_server", "serve", "--no-shared", "--log-level", "warning"]
        if self.model is not None:
            command += ["--model", self.model]
        if self.offline:
            command += ["--offline"]
        return command

    def editor_options(self) -> dict[str, Any]:
        """What ``serve`` takes from an editor and not from its command line."""
        return {} if self.threads is None else {"model": {"numThreads": self.threads}}


def use_log_level(level: str | None) -> None:
    """Log from ``level`` on; None leaves it as it is."""
    if level is not None:
        configure_logging(level)
