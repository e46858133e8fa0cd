"""Model servers of others, each started on loopback where it is installed.

``COMPLETION_SERVER_TEST_SERVERS`` names the Python interpreters that have them, separated as in ``PATH``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

_PYTHONS = os.environ.get("COMPLETION_SERVER_TEST_SERVERS", "")
_NUM_LOOKS = 900
_LOOK_SECONDS = 0.5
_LEAVE_SECONDS = 60
_IDLE_SHARE = 0.15  # of one core: a server that waits looks at its clock
_ENV = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True)
class ServerKind:
    """How a server is started, and what the probe is to make of it.

    ``{directory}`` and ``{gguf}`` in the command stand for the model.
    """

    name: str
    needs: tuple[str, ...]
    command: tuple[str, ...]
    ready_path: str
    dialect: str
    has_ids: bool = False

    def python(self) -> str | None:
        """The first interpreter that has all it needs."""
        found = (
            f"import importlib.util as u; raise SystemExit(any(u.find_spec(m) is None for m in {self.needs!r}))"
        )
        for each in filter(None, _PYTHONS.split(os.pathsep)):
            if not subprocess.run([each, "-c", found], capture_output=True, check=False).returncode:
                return each
        return None

    def remote_options(self, directory: str, fim_format: str) -> dict[str, str]:
        """Settings of ``remote`` for the model in ``directory``."""
        if self.has_ids:
            return {"tokenizer": directory}
        # llama-cpp-python lists the file's path; whatever name is sent, there is one model.
        return {"model": directory, "fim_format": fim_format}


TRANSFORMERS = ServerKind(
    "transformers",
    ("transformers", "fastapi", "uvicorn", "openai"),
    ("-m", "transformers.cli.transformers", "serve", "{directory}", "--device", "cpu", "--dtype", "float32"),
    "/health",
    "openai-text",
)
VLLM = ServerKind(
    "vllm",
    ("vllm",),
    (
        *("-m", "vllm.entrypoints.openai.api_server", "--model", "{directory}", "--dtype", "float32"),
        *("--max-model-len", "2048", "--enforce-eager", "--max-num-batched-tokens", "256", "--max-num-seqs", "4"),
    ),
    "/v1/models",
    "openai-tokens",
    has_ids=True,
)
LLAMA_CPP_PYTHON = ServerKind(
    "llama-cpp-python",
    ("llama_cpp", "fastapi", "uvicorn", "sse_starlette"),
    ("-m", "llama_cpp.server", "--model", "{gguf}", "--n_ctx", "4096", "--n_threads", "1"),
    "/v1/models",
    "openai-text",
)
SERVER_KINDS = (TRANSFORMERS, VLLM, LLAMA_CPP_PYTHON)


@dataclass(frozen=True)
class OtherServer:
    """A running server."""

    kind: ServerKind
    url: str
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """Processor time of the process and of all it has started that live."""
        first = psutil.Process(self.process.pid)
        total = 0.0
        for each in (first, *first.children(recursive=True)):
            try:
                times = each.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total

    def seconds_until_idle(self, most: float) -> float:
        """How long the server goes on computing, ``most`` where it does not stop before."""
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < most:
            before = self.cpu_seconds()
            with pytest.raises(subprocess.TimeoutExpired):
                self.process.wait(_LOOK_SECONDS)
            if self.cpu_seconds() - before < _IDLE_SHARE * _LOOK_SECONDS:
                return elapsed
        return most


@contextmanager
def started_server(kind: ServerKind, model: Mapping[str, Path], folder: Path) -> Iterator[OtherServer]:
    """``kind`` with ``model`` ("directory" and "gguf"), ready; its log is in ``folder``.

    Skips the test where it is not installed.
    """
    if not _PYTHONS:
        pytest.skip("opt-in: COMPLETION_SERVER_TEST_SERVERS names the Pythons that have the servers")
    python = kind.python()
    if python is None:
        pytest.skip(f"{kind.name} is not installed for {_PYTHONS}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", folder / f"{kind.name}.log"
    command = [part.format(**model) for part in kind.command]
    arguments = [python, *command, "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, **_ENV, "PATH": os.pathsep.join((str(Path(python).parent), os.environ["PATH"]))}
    environment.pop("PYTHONPATH", None)
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, env=environment, cwd=folder)
        try:
            _wait_until_ready(process, url + kind.ready_path, log)
            yield OtherServer(kind, url, process)
        finally:
            process.terminate()
            try:
                process.wait(_LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    with httpx.Client(trust_env=False, timeout=5) as client:
        for _ in range(_NUM_LOOKS):
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            try:
                process.wait(_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            break
    raise AssertionError(log.read_text(errors="replace")[-3000:])
