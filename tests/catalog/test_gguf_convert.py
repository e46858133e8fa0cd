"""Weights and config: a converted file is, name by name and row by row, the model it was made from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize, quantize
from safetensors import safe_open
from safetensors.numpy import load_file

from completion_server.catalog.gguf_convert import convert_gguf
from completion_server.errors import ModelFormatError, UnsupportedModelError
from tests.catalog.gguf_samples import (
    FEED_FORWARD,
    HEAD_DIM,
    HIDDEN,
    KV_HEADS,
    LAYERS,
    byte_level_vocabulary,
    llama_weights,
    write_model,
    write_tiny_llama,
)


@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16, Kind.Q8_0, Kind.Q4_1])
def test_llama_weights_come_back_in_transformers_order(tmp_path: Path, kind: Kind) -> None:
    weights = write_tiny_llama(tmp_path / "tiny.gguf", kind)

    conversion = convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")

    converted = load_file(tmp_path / "model" / "model.safetensors")
    assert converted.keys() == weights.keys()
    for name, weight in weights.items():
        expected = weight
        if weight.ndim == 2 and kind is not Kind.F32:
            expected = (
                dequantize(quantize(weight, kind), kind) if kind is not Kind.F16 else weight.astype(np.float16)
            )
        np.testing.assert_array_equal(converted[name], expected, err_msg=name)
        assert converted[name].dtype == (np.float16 if kind is Kind.F16 and weight.ndim == 2 else np.float32)
    assert conversion.fim_token_ids == {"prefix": 1, "suffix": 2, "middle": 3}


def test_bfloat16_bits_pass_through(tmp_path: Path) -> None:
    weights = write_tiny_llama(tmp_path / "tiny.gguf", Kind.BF16)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    torch = pytest.importorskip("torch")
    with safe_open(tmp_path / "model" / "model.safetensors", "pt") as file:
        stored = file.get_tensor("model.layers.1.self_attn.k_proj.weight")
    assert stored.dtype == torch.bfloat16
    expected = torch.from_numpy(weights["model.layers.1.self_attn.k_proj.weight"]).to(torch.bfloat16)
    assert torch.equal(stored, expected)
    assert _config(tmp_path / "model")["dtype"] == "bfloat16"


def test_config_says_what_the_file_says(tmp_path: Path) -> None:
    write_tiny_llama(tmp_path / "tiny.gguf")
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    config = _config(tmp_path / "model")
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["num_key_value_heads"] == KV_HEADS
    assert config["rms_norm_eps"] == 1e-5
    assert config["tie_word_embeddings"] is True
    assert config["rope_parameters"] == {"rope_type": "default", "rope_theta": 10_000.0}
    assert config["eos_token_id"] == 0


def test_untied_output_and_linear_rope(tmp_path: Path) -> None:
    vocabulary = byte_level_vocabulary()
    weights = llama_weights(len(vocabulary.tokens))
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"] * 2
    write_model(
        tmp_path / "tiny.gguf",
        "llama",
        weights,
        vocabulary,
        interleave=True,
        settings={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
    )
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    config = _config(tmp_path / "model")
    assert config["tie_word_embeddings"] is False
    assert config["rope_parameters"] == {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}
    assert "lm_head.weight" in load_file(tmp_path / "model" / "model.safetensors")


def test_qwen2_has_biases_and_no_reordering(tmp_path: Path) -> None:
    vocabulary = byte_level_vocabulary("qwen2")
    weights = llama_weights(len(vocabulary.tokens), bias=True)
    write_model(tmp_path / "tiny.gguf", "qwen2", weights, vocabulary)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    converted = load_file(tmp_path / "model" / "model.safetensors")
    assert converted.keys() == weights.keys()
    for name, weight in weights.items():
        np.testing.assert_array_equal(converted[name], weight, err_msg=name)
    assert _config(tmp_path / "model")["model_type"] == "qwen2"


def test_starcoder2_names(tmp_path: Path) -> None:
    vocabulary = byte_level_vocabulary("starcoder")
    weights = _starcoder2_weights(len(vocabulary.tokens))
    write_model(tmp_path / "tiny.gguf", "starcoder2", weights, vocabulary)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    converted = load_file(tmp_path / "model" / "model.safetensors")
    assert converted.keys() == weights.keys()
    for name, weight in weights.items():
        np.testing.assert_array_equal(converted[name], weight, err_msg=name)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "starcoder2"])
def test_transformers_loads_every_architecture_without_missing_weights(tmp_path: Path, architecture: str) -> None:
    transformers = pytest.importorskip("transformers")
    vocabulary = byte_level_vocabulary()
    if architecture == "starcoder2":
        weights = _starcoder2_weights(len(vocabulary.tokens))
    else:
        weights = llama_weights(len(vocabulary.tokens), bias=architecture == "qwen2")
    write_model(tmp_path / "tiny.gguf", architecture, weights, vocabulary, interleave=architecture == "llama")
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    _, report = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"expert_count": 8}, "mixture-of-experts"),
        ({"rope.scaling.type": "yarn"}, "yarn"),
        ({"rope.dimension_count": HEAD_DIM // 2}, "part of a head"),
        ({"attention.head_count_kv": [1, 2]}, "layers differ"),
    ],
)
def test_unknown_options_are_refused(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    vocabulary = byte_level_vocabulary()
    write_model(
        tmp_path / "tiny.gguf", "llama", llama_weights(len(vocabulary.tokens)), vocabulary, settings=settings
    )
    with pytest.raises(UnsupportedModelError, match=message):
        convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")


def test_unknown_architecture_names_the_supported_ones(tmp_path: Path) -> None:
    vocabulary = byte_level_vocabulary()
    write_model(tmp_path / "tiny.gguf", "mamba", llama_weights(len(vocabulary.tokens)), vocabulary)
    with pytest.raises(UnsupportedModelError, match="llama, qwen2, starcoder2"):
        convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")


def test_missing_unknown_and_misshapen_tensors_are_refused(tmp_path: Path) -> None:
    vocabulary = byte_level_vocabulary()
    path = tmp_path / "tiny.gguf"

    weights = llama_weights(len(vocabulary.tokens))
    del weights["model.layers.1.mlp.up_proj.weight"]
    write_model(path, "llama", weights, vocabulary)
    with pytest.raises(ModelFormatError, match=r"blk\.1\.ffn_up\.weight is missing"):
        convert_gguf(path, tmp_path / "model")

    weights = llama_weights(len(vocabulary.tokens), bias=True)
    weights = {name: weight for name, weight in weights.items() if "layers.0" not in name or "bias" not in name}
    write_model(path, "llama", weights, vocabulary)
    with pytest.raises(UnsupportedModelError, match=r"blk\.1\.attn_k\.bias"):
        convert_gguf(path, tmp_path / "model")

    weights = llama_weights(len(vocabulary.tokens))
    weights["model.norm.weight"] = weights["model.norm.weight"][:-1]
    write_model(path, "llama", weights, vocabulary)
    with pytest.raises(ModelFormatError, match="has shape"):
        convert_gguf(path, tmp_path / "model")


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    vocabulary = byte_level_vocabulary()
    weights = llama_weights(len(vocabulary.tokens))
    weights["model.norm.weight"][3] = np.nan
    write_model(tmp_path / "tiny.gguf", "llama", weights, vocabulary)
    with pytest.raises(ModelFormatError, match="not numbers"):
        convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")


def test_progress_counts_bytes_up_to_the_total(tmp_path: Path) -> None:
    write_tiny_llama(tmp_path / "tiny.gguf")
    calls: list[tuple[str, int, int | None]] = []
    convert_gguf(
        tmp_path / "tiny.gguf", tmp_path / "model", lambda stage, done, total: calls.append((stage, done, total))
    )
    done = [call[1] for call in calls]
    assert done == sorted(done)
    assert calls[-1][1] == calls[-1][2]


def _config(directory: Path) -> dict[str, object]:
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    assert isinstance(config, dict)
    return config


def _starcoder2_weights(vocab_size: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    weights = {name: weight for name, weight in llama_weights(vocab_size).items() if "mlp." not in name}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        weights[f"{prefix}mlp.c_fc.weight"] = random.standard_normal((FEED_FORWARD, HIDDEN)).astype(np.float32)
        weights[f"{prefix}mlp.c_proj.weight"] = random.standard_normal((HIDDEN, FEED_FORWARD)).astype(np.float32)
    for name in [name for name in weights if "embed" not in name]:
        bias = name.removesuffix("weight") + "bias"
        weights[bias] = random.standard_normal(weights[name].shape[:1]).astype(np.float32)
    return weights
