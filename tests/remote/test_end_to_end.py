"""The real language server over stdio, with llama.cpp's server in place of a model of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.llama_process import started_llama
from tests.support.raw_client import RawClient
from tests.support.tiny_gguf import alphabet_after, write_alphabet_gguf

COMMAND = (sys.executable, "-m", "completion_server", "serve")
GUARD_MS = 20_000
REST_OF_LINE = alphabet_after("l", 14)
TEXT = "value = compl\nother = 1\n"

USERS_ADDRESSES = {"experimental": {"completionServer": {"userAddresses": True}}}


def options_for(url: str) -> dict[str, object]:
    return {
        "remote": {"url": url},
        # No model of that name could be loaded: the server must not even try.
        "model": {"name": "no-such-model", "offline": True},
        "latency": {"automaticTimeoutMs": GUARD_MS, "invokedTimeoutMs": GUARD_MS},
        "generation": {"automaticMaxTokens": 32},
    }


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "COMPLETION_SERVER_MODEL_CACHE_DIR": str(tmp_path / "cache")}


def test_ghost_text_from_a_model_server_and_nothing_once_it_is_gone(tmp_path: Path, env: dict[str, str]) -> None:
    with started_llama(write_alphabet_gguf(tmp_path / "alphabet.gguf")) as llama:
        with RawClient(*COMMAND, env=env) as client:
            client.ready(options=options_for(llama.url))
            status = client.status()
            assert status["state"] == "ready", status
            assert status["model"]["dialect"] == "llama-infill"
            client.open(TEXT)
            assert client.items(client.ask(0, len("value = compl"))) == [REST_OF_LINE]
            assert client.command("explain")["remote_dialect"] == "llama-infill"

            llama.kill()
            client.change(2, {"text": "x = \n" + TEXT})
            assert client.items(client.ask(0, 4)) == []
            why = client.command("explain")
            assert "connect" in why["reason"], why
            assert client.status()["state"] == "ready"
            assert not [note for note in client.notifications if note["method"] == "window/showMessage"]
            assert client.leave() == 0
        assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.safetensors"))


def test_a_wrong_address_is_told_once_and_completions_stay_empty(env: dict[str, str]) -> None:
    with RawClient(*COMMAND, env=env) as client:
        client.ready(options=options_for("http://127.0.0.1:9"))
        assert "no connection" in client.status()["model"]["connection"]
        client.open(TEXT)
        assert client.items(client.ask(0, len("value = compl"))) == []
        assert "no connection" in client.command("explain")["reason"]
        assert client.leave() == 0


def test_an_address_that_is_none_is_an_error_of_the_settings(env: dict[str, str]) -> None:
    with RawClient(*COMMAND, env=env) as client:
        client.ready(options=options_for("localhost:8080"))
        status = client.status()
        assert status["state"] == "error"
        assert "remote.url" in status["message"]
        assert client.leave() == 0


def test_another_address_is_another_server(tmp_path: Path, env: dict[str, str]) -> None:
    with (
        started_llama(write_alphabet_gguf(tmp_path / "alphabet.gguf")) as llama,
        RawClient(*COMMAND, env=env) as client,
    ):
        client.ready(USERS_ADDRESSES, options_for("http://127.0.0.1:9"))
        settings = {"completionServer": options_for(llama.url)}
        client.notify("workspace/didChangeConfiguration", {"settings": settings})
        assert client.status(wait=True)["model"]["server"] == "llama.cpp"
        client.open(TEXT)
        assert client.items(client.ask(0, len("value = compl"))) == [REST_OF_LINE]
        assert client.leave() == 0
