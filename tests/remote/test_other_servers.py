"""Model servers of others, each started here where it is installed, with the model that writes the alphabet.

Opt-in: ``COMPLETION_SERVER_TEST_SERVERS=/path/to/python pytest -m remote_servers``, the interpreter of an
environment that has one or more of them. vLLM and llama-cpp-python take minutes to install, so nobody needs to
have them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from completion_server.engine.stopping import LineEnd
from completion_server.request import CancellationToken, Deadline, FinishReason
from tests.support.remote_calls import connected
from tests.support.tiny_gguf import alphabet_after, write_alphabet_directory, write_alphabet_gguf

pytestmark = [pytest.mark.remote_servers, pytest.mark.timeout(600)]

_PYTHON = os.environ.get("COMPLETION_SERVER_TEST_SERVERS", "")
_NUM_LOOKS = 600
_ENV = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True)
class Kind:
    """How a server is started, and what the probe is to make of it."""

    name: str
    needs: str
    command: tuple[str, ...]
    ready_path: str
    dialect: str
    has_ids: bool = False


KINDS = (
    Kind(
        "transformers",
        "transformers, fastapi, uvicorn, openai",
        ("-m", "transformers.cli.transformers", "serve", "{directory}", "--device", "cpu", "--dtype", "float32"),
        "/health",
        "openai-text",
    ),
    Kind(
        "vllm",
        "vllm",
        (
            *("-m", "vllm.entrypoints.openai.api_server", "--model", "{directory}", "--dtype", "float32"),
            *("--max-model-len", "2048", "--enforce-eager", "--max-num-batched-tokens", "256"),
        ),
        "/v1/models",
        "openai-tokens",
        has_ids=True,
    ),
    Kind(
        "llama-cpp-python",
        "llama_cpp, fastapi, uvicorn, sse_starlette",
        ("-m", "llama_cpp.server", "--model", "{gguf}", "--n_ctx", "4096"),
        "/v1/models",
        "openai-text",
    ),
)


Server = tuple[Kind, str, str]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The kind, the address and the model's name on the server."""
    kind: Kind = request.param
    if not _PYTHON:
        pytest.skip("opt-in: COMPLETION_SERVER_TEST_SERVERS names the Python that has the servers")
    if subprocess.run([_PYTHON, "-c", f"import {kind.needs}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{kind.name} is not installed for {_PYTHON}")
    folder = tmp_path_factory.mktemp("model")
    paths = {"directory": write_alphabet_directory(folder), "gguf": write_alphabet_gguf(folder / "alphabet.gguf")}
    command = [part.format(**paths) for part in kind.command]
    with started(kind, command, folder) as url:
        yield kind, url, str(paths["directory"])


@contextmanager
def started(kind: Kind, command: list[str], folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", folder / "log"
    arguments = [_PYTHON, *command, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, env={**os.environ, **_ENV})
        try:
            wait_until_ready(process, url + kind.ready_path, log)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    with httpx.Client(trust_env=False, timeout=5) as client:
        for _ in range(_NUM_LOOKS):
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            try:
                process.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
            break
    raise AssertionError(log.read_text(errors="replace")[-3000:])


def test_the_probe_and_an_answer(server: Server) -> None:
    kind, url, model = server
    with connected(url, model=model, fim_format="starcoder2", tokenizer=model * kind.has_ids) as remote:
        assert remote.engine.status()["dialect"] == kind.dialect
        assert remote.text("x = ˇ\ny = 2\n", rules=[LineEnd()], max_new_tokens=40) == alphabet_after(" ", 26)
        result = remote.ask("x = ˇ\n", max_new_tokens=5)
        assert result.generations[0].text == alphabet_after(" ", 5)


def test_special_strings_in_the_text_are_not_sent_as_text(server: Server) -> None:
    kind, url, model = server
    with connected(url, model=model, fim_format="starcoder2", tokenizer=model * kind.has_ids) as remote:
        result = remote.ask("x = '<fim_middle>ˇ'\n")
        assert (result.finish_reason is FinishReason.SKIPPED) == (not kind.has_ids)


def test_a_cancel_and_a_deadline_end_the_stream(server: Server) -> None:
    kind, url, model = server
    token = CancellationToken()

    class Cancelling(LineEnd):
        def find_cut(self, text: str) -> int | None:
            threading.Thread(target=token.cancel).start()
            return None

    with connected(url, model=model, fim_format="starcoder2", tokenizer=model * kind.has_ids) as remote:
        result = remote.ask("x = ˇ\n", rules=[Cancelling()], cancellation=token, max_new_tokens=1500)
        assert result.finish_reason is FinishReason.CANCELLED
        result = remote.ask("x = ˇ\n", deadline=Deadline.after_ms(400), max_new_tokens=1500)
        assert result.finish_reason is FinishReason.DEADLINE
        # The server is free again: a short question is answered well within the time of the long ones.
        assert remote.text("x = ˇ\n", max_new_tokens=3) == alphabet_after(" ", 3)
