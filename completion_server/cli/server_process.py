"""The real server as a child process with its model loaded, for the commands that act as an editor."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

from completion_server.cli.option import CommonOptions
from completion_server.cli.output import ShowProgress
from completion_server.errors import ModelError
from completion_server.lsp.client import EditorClient

_FACTS = ("model", "model_type", "backend", "device", "dtype", "num_threads", "fim_format", "prompt_order")
_MAX_STDERR_CHARS = 2000


@asynccontextmanager
async def started_server(
    options: CommonOptions, progress: ShowProgress, root: Path | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[EditorClient, dict[str, object]]]:
    """Start the server over stdio, wait for its model; yields the client and facts about the model.

    ``root`` is its workspace and ``env`` its environment; None: the working directory, and this process' own.

    Raises ModelError with the server's own words when the model cannot be loaded.
    """
    with tempfile.TemporaryFile() as stderr:
        progress("starting the language server", None)
        async with EditorClient.start(
            options.server_command(),
            initialization_options=options.editor_options(),
            on_progress=lambda message, fraction: progress(message, fraction or None),
            root=root or Path.cwd(),
            stderr=stderr,
            env=env,
        ) as editor:
            status = await editor.wait_until_loaded()
            if status.get("state") != "ready":
                raise ModelError(_why_not_ready(status, stderr))
            yield editor, model_facts(status)


def model_facts(status: Mapping[str, Any]) -> dict[str, object]:
    """Name, device, weight type, ... out of the status command's result."""
    model = status.get("model")
    facts: dict[str, Any] = model if isinstance(model, dict) else {}
    return {"name": status.get("model_name"), **{name: facts[name] for name in _FACTS if name in facts}}


def _why_not_ready(status: Mapping[str, Any], stderr: IO[bytes]) -> str:
    message = str(status.get("message") or "the model could not be loaded")
    if status.get("state") == "paused":
        return f"{message} (`completion-server config` shows where that is set)"
    if message and status.get("state") == "error":
        return message
    stderr.seek(0)
    said = stderr.read().decode("utf-8", "replace").strip()[-_MAX_STDERR_CHARS:]
    return f"{message}; the server said:\n{said}" if said else message
