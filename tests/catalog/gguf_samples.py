"""Tiny GGUF files for the tests, written with the reference writer of the ``gguf`` package."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf.quants import quantize
from numpy.typing import NDArray

HIDDEN, FEED_FORWARD, LAYERS, HEADS, KV_HEADS, HEAD_DIM, CONTEXT = 64, 96, 2, 4, 2, 16, 128
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

Weights = dict[str, NDArray[np.float32]]


def byte_alphabet() -> list[str]:
    """The 256 letters that byte-level BPE writes bytes with, in byte order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


@dataclass
class Vocabulary:
    """``tokens`` with their kinds; merges for byte-level BPE, scores for SentencePiece."""

    tokens: list[str]
    kinds: list[int]
    merges: list[str] = field(default_factory=list)
    scores: list[float] | None = None
    model: str = "gpt2"
    pre: str | None = "smollm"
    extra: dict[str, Any] = field(default_factory=dict)


def byte_level_vocabulary(pre: str | None = "smollm") -> Vocabulary:
    merges = ["d e", "de f", "Ġ Ġ", "ĠĠ ĠĠ", "r e", "1 2", "Ġ 1", "Ċ Ċ", "Ġ re"]
    tokens = ["<|endoftext|>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<tab run>"]
    kinds = [CONTROL, CONTROL, CONTROL, CONTROL, USER_DEFINED]
    tokens += byte_alphabet() + [merge.replace(" ", "") for merge in merges]
    kinds += [NORMAL] * (len(tokens) - len(kinds))
    tokens.append("[PAD0]")
    kinds.append(UNUSED)
    extra = {"fim_pre_token_id": 1, "fim_suf_token_id": 2, "fim_mid_token_id": 3, "eos_token_id": 0}
    return Vocabulary(tokens, kinds, merges, pre=pre, extra=extra)


def llama_weights(vocab_size: int, seed: int = 0, *, bias: bool = False) -> Weights:
    """Weights by their transformers names."""
    random = np.random.default_rng(seed)
    weights: Weights = {}

    def add(name: str, *shape: int) -> None:
        weights[name] = (random.standard_normal(shape) * 0.1).astype(np.float32)

    add("model.embed_tokens.weight", vocab_size, HIDDEN)
    add("model.norm.weight", HIDDEN)
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name, rows, columns in (
            ("self_attn.q_proj", HEADS * HEAD_DIM, HIDDEN),
            ("self_attn.k_proj", KV_HEADS * HEAD_DIM, HIDDEN),
            ("self_attn.v_proj", KV_HEADS * HEAD_DIM, HIDDEN),
            ("self_attn.o_proj", HIDDEN, HEADS * HEAD_DIM),
            ("mlp.gate_proj", FEED_FORWARD, HIDDEN),
            ("mlp.up_proj", FEED_FORWARD, HIDDEN),
            ("mlp.down_proj", HIDDEN, FEED_FORWARD),
        ):
            add(f"{prefix}{name}.weight", rows, columns)
            if bias and name.startswith("self_attn") and "o_proj" not in name:
                add(f"{prefix}{name}.bias", rows)
        add(f"{prefix}input_layernorm.weight", HIDDEN)
        add(f"{prefix}post_attention_layernorm.weight", HIDDEN)
    return weights


_GGUF_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def gguf_name(name: str) -> str:
    outer = {
        "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
        "model.norm.bias": "output_norm.bias", "lm_head.weight": "output.weight",
    }  # fmt: skip
    if name in outer:
        return outer[name]
    _, _, layer, *middle, kind = name.split(".")
    return f"blk.{layer}.{_GGUF_NAMES['.'.join(middle)]}.{kind}"


def interleave_heads(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """What llama.cpp's converter does to query and key weights: rows i and i + half of a head become neighbours.

    Spelled out row by row, so that the test does not repeat the implementation's reshaping.
    """
    head_dim = weight.shape[0] // heads
    order = [
        head * head_dim + half * (head_dim // 2) + row
        for head in range(heads)
        for row in range(head_dim // 2)
        for half in range(2)
    ]
    return weight[order]


def write_model(
    path: Path,
    architecture: str,
    weights: Weights,
    vocabulary: Vocabulary,
    kind: Kind = Kind.F32,
    *,
    interleave: bool = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Write ``weights`` (transformers names) as a GGUF file; matrices are stored as ``kind``."""
    writer = gguf.GGUFWriter(path, architecture)
    write_settings(writer, architecture, settings or {})
    write_vocabulary(writer, vocabulary)
    for name, weight in weights.items():
        stored = weight
        if interleave and "q_proj" in name:
            stored = interleave_heads(weight, HEADS)
        elif interleave and "k_proj" in name:
            stored = interleave_heads(weight, KV_HEADS)
        if stored.ndim == 1 or kind is Kind.F32:
            writer.add_tensor(gguf_name(name), stored)
        elif kind is Kind.F16:
            writer.add_tensor(gguf_name(name), stored.astype(np.float16))
        else:
            writer.add_tensor(gguf_name(name), quantize(stored, kind), raw_dtype=kind)
    finish(writer)


def write_settings(writer: gguf.GGUFWriter, architecture: str, settings: dict[str, Any]) -> None:
    values: dict[str, Any] = {
        "context_length": CONTEXT, "embedding_length": HIDDEN, "block_count": LAYERS,
        "feed_forward_length": FEED_FORWARD, "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS, "rope.freq_base": 10_000.0,
        "attention.layer_norm_rms_epsilon": 1e-5, "attention.layer_norm_epsilon": 1e-5,
    } | settings  # fmt: skip
    for key, value in values.items():
        full_key = f"{architecture}.{key}"
        if isinstance(value, float):
            writer.add_float32(full_key, value)
        elif isinstance(value, str):
            writer.add_string(full_key, value)
        elif isinstance(value, list):
            writer.add_array(full_key, value)
        elif value is not None:
            writer.add_uint32(full_key, value)


def write_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    if vocabulary.pre is not None:
        writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    if vocabulary.scores is not None:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    for key, value in vocabulary.extra.items():
        full_key = f"tokenizer.ggml.{key}"
        if isinstance(value, bool):
            writer.add_bool(full_key, value)
        else:
            writer.add_uint32(full_key, value)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_tiny_llama(path: Path, kind: Kind = Kind.F32, seed: int = 0) -> Weights:
    vocabulary = byte_level_vocabulary()
    weights = llama_weights(len(vocabulary.tokens), seed)
    write_model(path, "llama", weights, vocabulary, kind, interleave=True)
    return weights
