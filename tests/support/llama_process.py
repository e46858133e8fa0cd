"""llama.cpp's own server (``xllamacpp``) as a child process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

_CHILD = "completion_server.evaluation.replay.llama_child"
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class LlamaProcess:
    """A running server."""

    url: str
    process: subprocess.Popen[str]

    def get(self, path: str) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.get(self.url + path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        with httpx.Client(trust_env=False, timeout=60) as client:
            return client.post(self.url + path, json=body).json()

    def is_busy(self) -> bool:
        return any(slot["is_processing"] for slot in self.get("/slots").json())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def started_llama(model: Path, num_context: int = 4096) -> Iterator[LlamaProcess]:
    """The server with ``model`` loaded; skips the test where ``xllamacpp`` is not installed."""
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
    command = [sys.executable, "-m", _CHILD, str(model), "1", str(num_context)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=_ROOT
    ) as process:
        assert process.stdout is not None
        try:
            line = next((line for line in process.stdout if line.startswith("{")), "")
            assert line, "the server ended before it said where it is"
            yield LlamaProcess(json.loads(line)["address"], process)
        finally:
            if process.poll() is None:
                process.kill()
