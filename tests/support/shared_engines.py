"""Shared engines for tests: one in a thread of this process over a tiny model, and models for real processes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from completion_server.config import Settings
from completion_server.engine.engine import Engine
from completion_server.engine_host.host import HostedModel, Progress
from completion_server.engine_host.process import EngineOptions, run_engine
from completion_server.errors import SharedEngineError
from completion_server.shared.address import EngineAddress
from completion_server.shared.visit import stop_engine
from tests.support import tiny_tokenizers
from tests.support.engines import TOKENIZER, make_engine

HANG_GUARD_SECONDS = 60

Load = Callable[[Settings, Progress], HostedModel]


def hosted(engine: Engine) -> HostedModel:
    """``engine`` with the tokenizer of bytes."""
    return HostedModel(engine, TOKENIZER, "/nowhere", "llama", engine.model.max_context)


def load_tiny(_settings: Settings, progress: Progress) -> HostedModel:
    progress("half", 0.5)
    return hosted(make_engine())


@contextmanager
def engine_in_thread(
    directory: Path,
    load: Load = load_tiny,
    settings: Settings | None = None,
    options: EngineOptions | None = None,
    said: list[str] | None = None,
) -> Iterator[EngineAddress]:
    """A shared engine on a thread; it is ended with the block. ``said`` gets what it announces."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    address = EngineAddress(directory, "0" * 16)
    listening = threading.Event()

    def announce(what: str) -> None:
        if said is not None:
            said.append(what)
        listening.set()

    arguments = (settings or Settings(), address, options or EngineOptions(), announce, load)
    thread = threading.Thread(target=run_engine, args=arguments)
    thread.start()
    try:
        assert listening.wait(HANG_GUARD_SECONDS)
        yield address
    finally:
        with suppress(SharedEngineError):
            stop_engine(address)
        thread.join(HANG_GUARD_SECONDS)
        assert not thread.is_alive()


def make_model_directory(directory: Path) -> Path:
    """A random Llama of a few thousand weights, which runs in int8 without torch, with a real tokenizer."""
    directory.mkdir(parents=True, exist_ok=True)
    definition = tiny_tokenizers.qwen_definition()
    (directory / "tokenizer.json").write_text(json.dumps(definition), encoding="utf-8")
    config = LlamaConfig(
        vocab_size=tiny_tokenizers.qwen().vocab_size,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.5,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).eval().save_pretrained(directory)
    return directory


def engine_processes(directory: Path) -> list[psutil.Process]:
    """The engine processes whose runtime directory is ``directory``."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()
            if "--detached" in command and str(directory) in command and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
