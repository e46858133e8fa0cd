"""The real language server over stdio with a GGUF file, and what is left when it is killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.raw_client import RawClient
from tests.support.tiny_gguf import alphabet_after, write_alphabet_gguf

pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
COMMAND = (sys.executable, "-m", "completion_server", "serve")
GUARD_MS = 20_000
REST_OF_LINE = alphabet_after("l", 14)
TEXT = "value = compl\nother = 1\n"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "COMPLETION_SERVER_MODEL_CACHE_DIR": str(tmp_path / "cache")}


def options_for(path: Path, engine: str) -> dict[str, object]:
    return {
        "model": {"name": str(path), "engine": engine, "numThreads": 1},
        "latency": {"automaticTimeoutMs": GUARD_MS, "invokedTimeoutMs": GUARD_MS},
        "generation": {"automaticMaxTokens": 32},
    }


def test_ghost_text_from_a_file_that_is_not_converted(tmp_path: Path, env: dict[str, str]) -> None:
    path = write_alphabet_gguf(tmp_path / "alphabet.gguf")
    with RawClient(*COMMAND, env=env) as client:
        client.ready(options=options_for(path, "llama"))
        status = client.status()
        assert status["state"] == "ready", status
        assert status["model"]["backend"] == "llama.cpp"
        child = psutil.Process(status["model"]["pid"])
        client.open(TEXT)
        assert client.items(client.ask(0, len("value = compl"))) == [REST_OF_LINE]
        assert client.leave() == 0
    child.wait(20)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_refused_file_is_told_and_completions_stay_empty(tmp_path: Path, env: dict[str, str]) -> None:
    path = tmp_path / "junk.gguf"
    path.write_bytes(b"junk" * 9)
    with RawClient(*COMMAND, env=env) as client:
        client.ready(options=options_for(path, "llama"))
        status = client.status()
        assert status["state"] == "error"
        assert "llama.cpp: invalid magic" in status["message"]
        client.open(TEXT)
        assert client.items(client.ask(0, 4)) == []
        assert client.leave() == 0
