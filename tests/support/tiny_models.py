"""Random models of a few thousand weights, one per architecture shape, in float64 so that ties do not happen."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PreTrainedModel,
    Qwen2Config,
    Starcoder2Config,
)

from completion_server.backends.hf import TransformersModel
from completion_server.backends.native import NativeModel
from completion_server.backends.native_config import NativeConfig
from tests.support.byte_tokenizer import VOCAB_SIZE

CONTEXT = 512
_SMALL: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.5,
}
CONFIGS = {
    "llama": LlamaConfig(**_SMALL, tie_word_embeddings=True),
    "llama_untied": LlamaConfig(**_SMALL, tie_word_embeddings=False, rope_theta=100_000.0),
    "qwen2": Qwen2Config(**_SMALL, tie_word_embeddings=True),
    "gpt2": GPT2Config(
        vocab_size=VOCAB_SIZE, n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, initializer_range=0.5
    ),
    "starcoder2": Starcoder2Config(**_SMALL, sliding_window=None),
}


def make_transformers_model(shape: str, seed: int = 0) -> PreTrainedModel:
    """A random float64 transformers model; the same weights for the same ``shape`` and ``seed``."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[shape], attn_implementation="sdpa").double().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.5)
    return model


def make_model(shape: str, seed: int = 0) -> NativeModel | TransformersModel:
    """``native:llama`` for our own forward over those weights, ``gpt2`` etc. for transformers'."""
    backend, _, name = shape.rpartition(":")
    model = make_transformers_model(name, seed)
    if backend != "native":
        return TransformersModel(model)
    weights = model.state_dict()
    config = NativeConfig.from_dict(model.config.to_dict())
    return NativeModel(config, weights.__getitem__, torch.float64, torch.device("cpu"))


def native_from_config(config: LlamaConfig, seed: int = 0) -> NativeModel:
    """Our own forward over random float64 weights of ``config``."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).double().eval()
    weights = model.state_dict()
    native = NativeConfig.from_dict(config.to_dict())
    return NativeModel(native, weights.__getitem__, torch.float64, torch.device("cpu"))


SHAPES = ("native:llama", "native:qwen2", "gpt2", "starcoder2")
"""Two Llama-like shapes through our own forward, two others through transformers."""
