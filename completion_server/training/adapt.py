"""``train adapt``: a left-to-right model learns to fill in the middle, by LoRA or with all its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from completion_server.backends.loading import read_config
from completion_server.backends.native_config import NativeConfig
from completion_server.backends.torch_loading import choose_device
from completion_server.evaluation.held_out import MANIFEST_NAME, SourceFile, read_manifest, read_split
from completion_server.prompt.fim import detect_fim_format
from completion_server.tokenizer import Tokenizer
from completion_server.training.decoder import Decoder, LoraSettings
from completion_server.training.earlier_stage import RUN_NAME, EarlierStage, find_earlier_stage
from completion_server.training.error import TrainingError
from completion_server.training.example_stream import ExampleStream
from completion_server.training.fim_transform import Example, FimRates, FimTransform
from completion_server.training.lora import AdapterFacts, save_adapter
from completion_server.training.precision import training_dtype
from completion_server.training.repository_context import RepositoryContext
from completion_server.training.trainer import Trainer, TrainSettings
from completion_server.training.vocabulary import respell_tokenizer

TOKENIZER_NAME = "tokenizer"
_HASH_BYTES = 1 << 20
_SUFFIX, _MIDDLE, _END = "<|fim_suffix|>", "<|fim_middle|>", "<|fim_end|>"

RESERVED_TOKENS: Mapping[str, str] = {
    "<issue_start>": _SUFFIX,
    "<issue_comment>": _MIDDLE,
    "<issue_closed>": _END,
}
"""Tokens of SmolLM2 and its like that no text of a user becomes, and what they are called from now on."""

_FIRST_ROWS: Mapping[str, str] = {_SUFFIX: "<file_sep>", _MIDDLE: "<filename>", _END: "<|endoftext|>"}
"""Whose embedding a token starts with: the reserved ones are all alike, so the model could not tell them apart."""


@dataclass(frozen=True)
class AdaptTask:
    """What to train, on what, where. ``rank`` 0 trains all weights.

    ``earlier`` is a run or an adapter to begin with.
    """

    model: Path
    corpus: Path
    directory: Path
    settings: TrainSettings
    rates: FimRates = field(default_factory=FimRates)
    rank: int = 16
    alpha: float = 32.0
    seed: int = 0
    num_validation: int = 64
    base_name: str = "base"
    device: str = "auto"
    dtype: str = "auto"
    earlier: Path | None = None
    language_shares: Mapping[str, float] = field(default_factory=dict)
    """Instead of the corpus's own; a language without one is not drawn."""


def prepare_adapt(task: AdaptTask) -> Trainer:
    """The run of ``task``, at its last checkpoint if it has one. Raises CompletionServerError."""
    task.directory.mkdir(parents=True, exist_ok=True)
    tokenizer, facts = prepare_tokenizer(task.model, task.directory / TOKENIZER_NAME, task.base_name)
    train, validation = (read_split(task.corpus, split) for split in ("train", "validation"))
    transform = FimTransform(
        tokenizer,
        detect_fim_format(tokenizer, facts.fim_format).format,
        task.rates,
        RepositoryContext([*train, *validation]) if task.rates.snippets else None,
    )
    shares = _manifest(task).get("language_shares", {})
    stream = ExampleStream(train, transform, task.seed, shares)
    earlier = None if task.earlier is None else find_earlier_stage(task.earlier)
    decoder = build_decoder(task, tokenizer, facts)
    if earlier is not None:
        earlier.load_into(decoder, facts)
    identity = _identity(task, earlier)
    trainer = Trainer(
        decoder,
        stream,
        task.settings,
        task.directory,
        identity,
        validation_examples(validation, transform, task.num_validation, shares),
        save_more=adapter_writer(decoder, facts),
    )
    _write_run(task, facts, identity, earlier, decoder.dtype)
    trainer.resume()
    return trainer


def prepare_tokenizer(model: Path, directory: Path, base_name: str) -> tuple[Tokenizer, AdapterFacts]:
    """The tokenizer to train with, written to ``directory``, and what the adapter says of it.

    A model that speaks a fill-in-the-middle format already keeps it.
    """
    tokenizer = Tokenizer.from_directory(model)
    detected = detect_fim_format(tokenizer).format
    if detected.orders:
        respell_tokenizer(model, directory, {})
        return tokenizer, AdapterFacts(base_name, detected.name)
    respell_tokenizer(model, directory, RESERVED_TOKENS)
    return Tokenizer.from_directory(directory), AdapterFacts(base_name, "spm", RESERVED_TOKENS)


def build_decoder(task: AdaptTask, tokenizer: Tokenizer, facts: AdapterFacts) -> Decoder:
    """The model of ``task`` with a fresh adapter, on its device."""
    device = choose_device(task.device)
    dtype = training_dtype(task.dtype, device, task.directory / RUN_NAME)
    spellings = list((facts.token_spellings or {}).values()) if task.rank else []
    row_ids = [_known_id(tokenizer, spelling) for spelling in spellings]
    settings = LoraSettings(task.rank, task.alpha, tuple(row_ids))
    decoder = Decoder(
        NativeConfig.from_dict(read_config(task.model)), read_weights(task.model), settings, dtype, task.seed
    )
    with torch.no_grad():
        for number, spelling in enumerate(spellings):
            like = tokenizer.token_id(_FIRST_ROWS.get(spelling, ""))
            if like is not None:
                decoder.rows[number] = decoder.embedding[like].float()
    return decoder.to(device)


def read_weights(directory: Path) -> Callable[[str], torch.Tensor]:
    """Weights by name out of ``directory``/model.safetensors; KeyError for one that is not there."""
    path = directory / "model.safetensors"
    if not path.is_file():
        raise TrainingError(f"{directory} has no model.safetensors")
    handle: Any = safe_open(path, framework="pt")
    names = set(handle.keys())

    def read(name: str) -> torch.Tensor:
        if name not in names:
            raise KeyError(name)
        tensor: torch.Tensor = handle.get_tensor(name)
        return tensor

    return read


def validation_examples(
    files: Sequence[SourceFile], transform: FimTransform, count: int, shares: Mapping[str, float]
) -> list[Example]:
    """The same examples each time; none without files."""
    if not files or not count:
        return []
    stream = ExampleStream(files, transform, seed=1, language_shares=shares)
    return [example for number in range(count) if (example := stream.example(number))]


def adapter_writer(decoder: Decoder, facts: AdapterFacts) -> Callable[[Path], object]:
    """Puts the adapter, ready to use, into each checkpoint; for full weights nothing (the checkpoint has them)."""
    if not decoder.settings.rank:
        return lambda _: None
    return lambda directory: save_adapter(directory, decoder, facts)


def _known_id(tokenizer: Tokenizer, spelling: str) -> int:
    token_id = tokenizer.token_id(spelling)
    if token_id is None:
        raise TrainingError(f"the tokenizer has no token {spelling}")
    return token_id


def _identity(task: AdaptTask, earlier: EarlierStage | None) -> str:
    """Hashes of model and corpus, and the recipe; what it begins with."""
    digest = hashlib.sha256()
    for path in (task.model / "model.safetensors", task.corpus / MANIFEST_NAME):
        with path.open("rb") as stream:
            while block := stream.read(_HASH_BYTES):
                digest.update(block)
    digest.update(repr((task.rates, task.rank, task.alpha, task.seed)).encode())
    digest.update(task.rates.later_recipe.encode())
    if task.language_shares:
        digest.update(repr(sorted(task.language_shares.items())).encode())
    if earlier is not None:
        digest.update(earlier.sha256.encode())
    return digest.hexdigest()


def _manifest(task: AdaptTask) -> dict[str, Any]:
    """The corpus's, with the shares that languages are drawn by."""
    manifest = dict(read_manifest(task.corpus))
    if task.language_shares:
        manifest["language_shares"] = dict(task.language_shares)
    return manifest


def _write_run(
    task: AdaptTask, facts: AdapterFacts, identity: str, earlier: EarlierStage | None, dtype: torch.dtype
) -> None:
    settings = asdict(task.settings)
    rates = asdict(task.rates) | {"kinds": {kind.value: share for kind, share in task.rates.kinds.items()}}
    content = {
        "base_model": facts.base_model,
        "fim_format": facts.fim_format,
        "token_spellings": dict(facts.token_spellings or {}),
        "rank": task.rank,
        "alpha": task.alpha,
        "seed": task.seed,
        "identity": identity,
        "dtype": str(dtype).removeprefix("torch."),
        "settings": settings,
        "rates": rates,
        "earlier_stages": [] if earlier is None else list(earlier.stages),
        "corpus": _manifest(task),
    }
    (task.directory / RUN_NAME).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
