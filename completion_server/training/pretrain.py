"""``train pretrain``: a tokenizer and a small Llama from nothing, with next-token loss and fill-in-the-middle.

Byte-level BPE: Radford et al. 2019; architecture: Touvron et al. 2023 (arXiv 2302.13971).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from completion_server.backends.native_config import NativeConfig
from completion_server.evaluation.held_out import SourceFile, read_manifest, read_split
from completion_server.prompt.fim import detect_fim_format
from completion_server.tokenizer import Tokenizer
from completion_server.training.adapt import TOKENIZER_NAME, validation_examples
from completion_server.training.decoder import Decoder, LoraSettings
from completion_server.training.example_stream import ExampleStream
from completion_server.training.export import write_model
from completion_server.training.fim_transform import FimRates, FimTransform
from completion_server.training.trainer import Trainer, TrainSettings

CONTROL_TOKENS = (
    "<|endoftext|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
    "<|fim_end|>",
    "<|file_sep|>",
    "<|repo_name|>",
)
MODEL_NAME = "model"
_DEVIATION = 0.02


@dataclass(frozen=True)
class ModelShape:
    """The numbers of a small Llama. ``vocab_size`` is a wish: a small corpus has fewer merges."""

    vocab_size: int = 4096
    hidden_size: int = 256
    intermediate_size: int = 704
    num_layers: int = 6
    num_heads: int = 4
    num_kv_heads: int = 2
    max_context: int = 1024

    def as_config(self, vocab_size: int) -> dict[str, Any]:
        """The content of ``config.json``."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_layers,
            "num_attention_heads": self.num_heads,
            "num_key_value_heads": self.num_kv_heads,
            "head_dim": self.hidden_size // self.num_heads,
            "max_position_embeddings": self.max_context,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10_000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "bos_token_id": 0,
            "eos_token_id": 0,
            "dtype": "float32",
        }


@dataclass(frozen=True)
class PretrainTask:
    """What to train, on what, where."""

    corpus: Path
    directory: Path
    settings: TrainSettings
    shape: ModelShape = ModelShape()
    rates: FimRates = field(default_factory=lambda: FimRates(plain=0.5, prefix_weight=1.0, max_tokens=256))
    seed: int = 0
    num_validation: int = 32


def prepare_pretrain(task: PretrainTask) -> tuple[Trainer, Callable[[], Path]]:
    """The run, at its last checkpoint if it has one, and what writes its model directory when it is done."""
    files = read_split(task.corpus, "train")
    tokenizer_directory = task.directory / TOKENIZER_NAME
    if not (tokenizer_directory / "tokenizer.json").is_file():
        train_tokenizer(files, task.shape.vocab_size, tokenizer_directory)
    tokenizer = Tokenizer.from_directory(tokenizer_directory)
    transform = FimTransform(tokenizer, detect_fim_format(tokenizer).format, task.rates)
    config = task.shape.as_config(tokenizer.vocab_size)
    native = NativeConfig.from_dict(config)
    decoder = Decoder(native, random_weights(native, config, task.seed), LoraSettings(rank=0), torch.float32)
    shares = read_manifest(task.corpus).get("language_shares", {})
    trainer = Trainer(
        decoder,
        ExampleStream(files, transform, task.seed, shares),
        task.settings,
        task.directory,
        hashlib.sha256(repr((task.shape, task.rates, task.seed, len(files))).encode()).hexdigest(),
        validation_examples(read_split(task.corpus, "validation"), transform, task.num_validation, shares),
    )
    trainer.resume()

    def write() -> Path:
        target = task.directory / MODEL_NAME
        write_model(target, decoder.full_weights(), config, tokenizer_directory)
        return target

    return trainer, write


def train_tokenizer(files: Sequence[SourceFile], vocab_size: int, directory: Path) -> None:
    """A byte-level BPE of ``files`` in ``directory``; control tokens of the format "spm" come first."""
    library = LibraryTokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator((file.text for file in files), trainer)
    directory.mkdir(parents=True, exist_ok=True)
    library.save(str(directory / "tokenizer.json"))
    config = {"bos_token": CONTROL_TOKENS[0], "eos_token": CONTROL_TOKENS[0], "add_bos_token": False}
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def random_weights(config: NativeConfig, raw: dict[str, Any], seed: int) -> Callable[[str], torch.Tensor]:
    """Normal weights with deviation 0.02 and norms of 1; KeyError for biases, which there are none of."""
    query = config.num_heads * config.head_dim
    key = config.num_kv_heads * config.head_dim
    hidden, inner = config.hidden_size, raw["intermediate_size"]
    shapes = {
        "embed_tokens": (config.vocab_size, hidden),
        "q_proj": (query, hidden),
        "k_proj": (key, hidden),
        "v_proj": (key, hidden),
        "o_proj": (hidden, query),
        "gate_proj": (inner, hidden),
        "up_proj": (inner, hidden),
        "down_proj": (hidden, inner),
    }

    def make(name: str) -> torch.Tensor:
        part, kind = name.rsplit(".", 2)[-2:]
        if kind == "bias":
            raise KeyError(name)
        if part.endswith("norm"):
            return torch.ones(hidden)
        number = int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:7], "big")
        return torch.randn(shapes[part], generator=torch.Generator().manual_seed(number)) * _DEVIATION

    return make
