"""What the environment of this process and of its children says to libraries. Standard library only.

Runs when the package is imported, so before any other library. ONNX Runtime reads its variable while it is
imported: switching its telemetry off afterwards comes too late.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

SILENT = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_XET_TELEMETRY_ENABLED": "0",
    "DO_NOT_TRACK": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
"""Variables that keep libraries from connections that the user did not ask for."""

API_KEY = "COMPLETION_SERVER_REMOTE_API_KEY"


def silence_libraries(environ: MutableMapping[str, str] = os.environ) -> None:
    """Switch telemetry and update checks off, whatever ``environ`` says of them. Children inherit it."""
    environ.update(SILENT)


def prepare_process() -> None:
    """What has to be set before libraries are imported."""
    silence_libraries()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # one text at a time: its threads would only be made


def for_child(environ: Mapping[str, str] = os.environ, api_key: str | None = None) -> dict[str, str]:
    """``environ`` for a child process: without the key of the model server, or with ``api_key`` in its place."""
    inherited = {name: value for name, value in environ.items() if name != API_KEY}
    return inherited if api_key is None else {**inherited, API_KEY: api_key}
