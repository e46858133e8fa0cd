"""Starts peers by name, all on the same local model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from completion_server.bootstrap import cache_dir_of
from completion_server.catalog.resolve import ensure_local
from completion_server.config import Settings
from completion_server.errors import CompletionServerError
from completion_server.evaluation.replay.llama_server import Endpoint, started_llama_server
from completion_server.evaluation.replay.peer import Peer, PromptLimits
from completion_server.evaluation.replay.peer_model import PeerModel, ensure_gguf, with_sentinels
from completion_server.evaluation.replay.transformers_script import started_transformers
from completion_server.tokenizer import Tokenizer

PEER_NAMES = ("llama-infill", "llama-completion", "transformers")
_WORK_NAME = "bench"
_PACKAGES = {"llama-infill": "xllamacpp", "llama-completion": "xllamacpp", "transformers": "transformers"}


@dataclass(frozen=True)
class LocalModel:
    """The model of all sides."""

    model: PeerModel
    work: Path
    tokenizer: Tokenizer

    @property
    def directory(self) -> Path:
        return self.model.directory

    @property
    def fim_format(self) -> str:
        return self.model.fim_format

    @property
    def has_borrowed_sentinels(self) -> bool:
        return self.model.has_borrowed_sentinels

    @classmethod
    def prepare(cls, settings: Settings, *, borrow_sentinels: bool) -> LocalModel:
        """The settings' model on this disk, fetched if need be. Raises ModelError."""
        cache_dir = cache_dir_of(settings.model)
        directory = ensure_local(settings.model.name, cache_dir, settings.model.offline)
        work = cache_dir / _WORK_NAME
        model = PeerModel(directory, "auto")
        if borrow_sentinels:
            config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
            model = with_sentinels(directory, config.get("model_type"), work)
        return cls(model, work, Tokenizer.from_directory(model.directory))


def check_peers(names: Sequence[str]) -> None:
    """Raises CompletionServerError when a package that a peer needs is not installed."""
    for name in names:
        if find_spec(_PACKAGES[name]) is None:
            raise CompletionServerError(f"{name} needs {_PACKAGES[name]}: pip install 'completion-server[bench]'")


@asynccontextmanager
async def started_peer(
    name: str, local: LocalModel, num_threads: int, limits: PromptLimits
) -> AsyncIterator[Peer]:
    """The peer called ``name`` with its model loaded, until the block ends."""
    starting: AbstractAsyncContextManager[Peer]
    if name == "transformers":
        starting = started_transformers(local.directory, num_threads, local.tokenizer, limits)
    else:
        gguf = ensure_gguf(local.directory, local.work)
        endpoint: Endpoint = "infill" if name == "llama-infill" else "completion"
        starting = started_llama_server(gguf, endpoint, num_threads, local.tokenizer.encode, limits)
    async with starting as peer:
        yield peer
