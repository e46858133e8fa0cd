"""The int8 backend: its rounding, its file, and that it computes what the float forward does."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel, Qwen2Config

from completion_server.backends import loading
from completion_server.backends.int8 import Int8Model
from completion_server.backends.int8_weights import BLOCK, dequantize, is_int8_able, load_int8_weights, quantize
from completion_server.backends.loading import load_model
from completion_server.backends.native import NativeModel
from completion_server.backends.native_config import NativeConfig
from completion_server.backends.weight_files import weight_paths
from completion_server.config import ModelSettings
from completion_server.errors import ModelError, ModelFormatError, UnsupportedModelError
from completion_server.model import Logits

CONTEXT = 600
SIZES = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.08,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama_untied": LlamaConfig(**SIZES, tie_word_embeddings=False, rope_theta=100_000.0),
    "llama_biased": LlamaConfig(**SIZES, tie_word_embeddings=True, attention_bias=True),
    "qwen2": Qwen2Config(**SIZES, tie_word_embeddings=True),
}
TOKENS = [int(token) for token in np.random.default_rng(1).integers(0, 300, 300)]
WEIGHTS = arrays(np.float32, (3, 2 * BLOCK), elements=st.floats(-100, 100, width=32))


def silent(_message: str, _fraction: float | None) -> None: ...


def reference(shape: str) -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[shape]).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.1)
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directories = {}
    for shape in CONFIGS:
        directories[shape] = tmp_path_factory.mktemp(shape)
        reference(shape).save_pretrained(directories[shape])
    return directories


def load(directory: Path, num_threads: int = 1) -> Int8Model:
    model = load_model(
        directory, ModelSettings(dtype="int8", num_threads=num_threads), directory / "made", silent
    ).model
    assert isinstance(model, Int8Model)
    return model


def float_model_of_the_rounded_weights(directory: Path) -> NativeModel:
    """The torch forward in float32 over the very weights that the int8 model holds."""
    config = NativeConfig.from_dict(json.loads((directory / "config.json").read_text()))
    weights = dict(reference(directory.name[:-1]).state_dict())
    for name, weight in weights.items():
        if weight.ndim == 2:
            weights[name] = torch.from_numpy(dequantize(*quantize(weight.numpy())))
    return NativeModel(config, weights.__getitem__, torch.float32, torch.device("cpu"))


def distance(actual: Logits, expected: Logits) -> float:
    """Root mean square difference, as a share of the spread of ``expected``."""
    return float(np.sqrt(np.mean((actual - expected) ** 2)) / np.std(expected))


@given(weight=WEIGHTS)
def test_rounding_is_off_by_at_most_half_a_step(weight: np.ndarray) -> None:
    codes, scales = quantize(weight)
    assert codes.shape == (3, 2, BLOCK)
    error = np.abs(dequantize(codes, scales) - weight).reshape(3, 2, BLOCK)
    assert (error <= scales[..., np.newaxis] * 0.5001 + 1e-30).all()


@given(weight=WEIGHTS)
def test_what_was_rounded_once_stays_as_it_is(weight: np.ndarray) -> None:
    codes, scales = quantize(weight)
    once = dequantize(codes, scales)
    again = dequantize(*quantize(once))
    np.testing.assert_allclose(again, once, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("shape", CONFIGS)
def test_computes_what_the_float_forward_computes_with_those_weights(shape: str, saved: dict[str, Path]) -> None:
    model = load(saved[shape])
    expected = float_model_of_the_rounded_weights(saved[shape])
    actual = model.forward(TOKENS[:64], model.new_kv_cache(), 64)
    wanted = expected.forward(TOKENS[:64], expected.new_kv_cache(), 64)
    assert actual.shape == wanted.shape
    # What is left is the rounding of activations to 8 bits: about 1 % per product.
    assert distance(actual, wanted) < 0.03
    unrelated = expected.forward(TOKENS[100:164], expected.new_kv_cache(), 64)
    assert distance(actual, unrelated) > 1


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("shape", ["llama", "qwen2"])
def test_chunks_with_a_cache_equal_one_pass(shape: str, num_threads: int, saved: dict[str, Path]) -> None:
    model = load(saved[shape], num_threads)
    expected = model.forward(TOKENS, model.new_kv_cache(), len(TOKENS))
    kv_cache = model.new_kv_cache()
    start = 0
    for size in (1, 7, 64, 1, 1, 100, 126):
        logits = model.forward(TOKENS[start : start + size], kv_cache, size)
        # Sums in another order can tip an activation over to the next of 255 steps.
        assert distance(logits, expected[start : start + size]) < 0.01
        start += size
    assert kv_cache.num_tokens == start == len(TOKENS)


def test_a_truncated_cache_continues_as_if_the_rest_had_never_been_seen(saved: dict[str, Path]) -> None:
    model = load(saved["llama"])
    fresh, cut = model.new_kv_cache(), model.new_kv_cache()
    model.forward(TOKENS[:30], fresh, 0)
    model.forward(TOKENS[:30], cut, 0)
    model.forward(TOKENS[100:200], cut, 0)
    cut.truncate(30)
    expected = model.forward(TOKENS[30:40], fresh, 5)
    np.testing.assert_array_equal(model.forward(TOKENS[30:40], cut, 5), expected)


def test_branches_in_one_cache_equal_sequences_of_their_own(saved: dict[str, Path]) -> None:
    model = load(saved["llama"])
    together = model.new_kv_cache()
    model.forward(TOKENS[:50], together, 1)
    owners = np.zeros(0, int)
    written: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for step, growing in enumerate([(0, 1, 2), (0, 1, 2), (0, 2)]):
        new = [TOKENS[60 + 10 * step + branch] for branch in growing]
        owners = np.append(owners, growing)
        visible = owners[np.newaxis, :] == np.array(growing)[:, np.newaxis]
        logits = model.forward_branches(new, together, [50 + step] * len(new), visible)
        for branch, token, row in zip(growing, new, logits, strict=True):
            written[branch].append(token)
            alone = model.forward(TOKENS[:50] + written[branch], model.new_kv_cache(), 1)
            assert distance(row[np.newaxis], alone) < 0.01
    together.truncate(50)
    fresh = model.new_kv_cache()
    model.forward(TOKENS[:50], fresh, 1)
    expected = model.forward(TOKENS[50:60], fresh, 1)
    np.testing.assert_array_equal(model.forward(TOKENS[50:60], together, 1), expected)


def test_keys_and_values_survive_growing(saved: dict[str, Path]) -> None:
    """255, 256 and 257 tokens are on both sides of the first capacity."""
    model = load(saved["llama"])
    expected = model.forward((TOKENS * 2)[:520], model.new_kv_cache(), 520)
    kv_cache = model.new_kv_cache()
    for start, end in ((0, 255), (255, 256), (256, 257), (257, 511), (511, 520)):
        logits = model.forward((TOKENS * 2)[start:end], kv_cache, end - start)
        assert distance(logits, expected[start:end]) < 0.01


@pytest.mark.parametrize("num_logits", [0, 1, 3])
def test_as_many_logits_as_were_asked_for(num_logits: int, saved: dict[str, Path]) -> None:
    model = load(saved["llama"])
    assert model.forward(TOKENS[:10], model.new_kv_cache(), num_logits).shape == (num_logits, 300)


def test_more_than_the_context_is_an_error_and_changes_nothing(saved: dict[str, Path]) -> None:
    model = load(saved["llama"])
    kv_cache = model.new_kv_cache()
    model.forward(TOKENS, kv_cache, 0)
    with pytest.raises(ModelError, match="do not fit"):
        model.forward((TOKENS * 2)[: CONTEXT - 299], kv_cache, 1)
    assert kv_cache.num_tokens == 300
    with pytest.raises(ModelError, match="truncate"):
        kv_cache.truncate(301)


def test_the_weights_are_made_once_and_again_when_the_model_changes(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    reference("llama").save_pretrained(directory)
    config = NativeConfig.from_dict(json.loads((directory / "config.json").read_text()))
    kept = tmp_path / "cache" / "int8"

    load_int8_weights(config, weight_paths(directory), tmp_path / "cache")
    (first,) = kept.glob("*.safetensors")
    made_at = first.stat().st_mtime_ns
    load_int8_weights(config, weight_paths(directory), tmp_path / "cache")
    assert first.stat().st_mtime_ns == made_at

    os.utime(directory / "model.safetensors", ns=(1, 1))
    load_int8_weights(config, weight_paths(directory), tmp_path / "cache")
    (second,) = kept.glob("*.safetensors")
    assert len(list(kept.iterdir())) == 2, "the weights and their checksums"
    assert second != first


def test_weights_of_a_model_that_is_gone_go_too(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name in ("old", "new"):
        reference("llama").save_pretrained(tmp_path / name)
    config = NativeConfig.from_dict(json.loads((tmp_path / "old" / "config.json").read_text()))
    load_int8_weights(config, weight_paths(tmp_path / "old"), cache)
    shutil.rmtree(tmp_path / "old")
    (cache / "int8" / "x-y.safetensors").write_text("damaged")
    load_int8_weights(config, weight_paths(tmp_path / "new"), cache)
    assert len(list((cache / "int8").glob("*.safetensors"))) == 1


@pytest.mark.parametrize("damage", ["cut", "half zeroed", "one byte", "NaN scales", "empty", "checksums"])
def test_a_damaged_file_of_int8_weights_is_made_again(saved: dict[str, Path], tmp_path: Path, damage: str) -> None:
    config = NativeConfig.from_dict(json.loads((saved["llama"] / "config.json").read_text()))
    load_int8_weights(config, weight_paths(saved["llama"]), tmp_path)
    (kept,) = (tmp_path / "int8").glob("*.safetensors")
    whole, status = kept.read_bytes(), kept.stat()
    data = bytearray(whole)
    if damage == "cut":
        del data[1000:]
    elif damage == "half zeroed":
        data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    elif damage == "one byte":
        data[-1] ^= 1
    elif damage == "NaN scales":
        data[-4:] = np.array([np.nan], np.float32).tobytes()
    elif damage == "empty":
        data.clear()
    else:
        kept.with_suffix(".checksums.json").write_text("[")
    kept.write_bytes(data)
    os.utime(kept, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    weights = load_int8_weights(config, weight_paths(saved["llama"]), tmp_path)
    assert weights.shape("0.qkv.codes") == (128, 64 // BLOCK, BLOCK)
    assert damage == "checksums" or kept.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_time_only(saved: dict[str, Path], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    config = NativeConfig.from_dict(json.loads((saved["llama"] / "config.json").read_text()))
    weights = load_int8_weights(config, weight_paths(saved["llama"]), blocked)
    assert Int8Model(config, weights, 1).vocab_size == 300


def test_config_and_weights_that_do_not_fit_are_a_clear_error(saved: dict[str, Path], tmp_path: Path) -> None:
    reference("llama").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ModelFormatError, match=r"layers\.2"):
        load(tmp_path)


def test_asked_for_where_it_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(UnsupportedModelError, match="int8 is for"):
        load_model(tmp_path, ModelSettings(dtype="int8"), tmp_path, silent)


@pytest.mark.parametrize(
    ("settings", "may_have_gpu", "has_gpu", "expected"),
    [
        ({}, False, False, True),
        ({}, True, False, True),  # a driver's file alone is no GPU
        ({}, True, True, False),
        ({"device": "cpu"}, True, True, True),
        ({"device": "cuda"}, False, False, False),
        ({"dtype": "float32"}, False, False, False),
    ],
)
def test_int8_is_the_choice_where_no_gpu_is(
    settings: dict[str, str], may_have_gpu: bool, has_gpu: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_may_have_gpu", lambda: may_have_gpu)
    monkeypatch.setattr(loading, "_has_gpu", lambda: has_gpu)
    assert loading.wants_int8(CONFIGS["llama"].to_dict(), ModelSettings(**settings)) == expected


@pytest.mark.parametrize("change", [{"hidden_size": 72}, {"head_dim": 24}, {"intermediate_size": 100}])
def test_shapes_that_fill_no_blocks_are_left_to_torch(change: dict[str, int]) -> None:
    config = CONFIGS["llama"].to_dict()
    assert is_int8_able(NativeConfig.from_dict(config))
    assert not is_int8_able(NativeConfig.from_dict({**config, **change}))
