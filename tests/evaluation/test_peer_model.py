"""The GGUF file for peers has the weights and the tokenizer of the directory it is made from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from safetensors.numpy import load_file, save_file

from completion_server.catalog.gguf_convert import convert_gguf
from completion_server.catalog.gguf_file import read_gguf
from completion_server.errors import ModelFormatError
from completion_server.evaluation.replay.peer_model import (
    FIM_FORMAT,
    WeightType,
    ensure_gguf,
    gguf_name,
    with_sentinels,
    write_gguf,
)
from completion_server.prompt.fim import detect_fim_format
from completion_server.tokenizer import Tokenizer
from tests.catalog.gguf_samples import CONTROL, byte_level_vocabulary, llama_weights, write_model, write_tiny_llama

RESERVED = ("<jupyter_start>", "<jupyter_text>", "<jupyter_code>")
TEXT = "def  f(x):\n\n    return 12 + x\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with BigCode's sentinels."""
    write_tiny_llama(tmp_path / "tiny.gguf", Kind.Q8_0)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def plain_model(tmp_path: Path) -> Path:
    """A directory without sentinels, with reserved tokens."""
    vocabulary = byte_level_vocabulary()
    vocabulary.tokens[1:4] = RESERVED
    vocabulary.kinds[1:4] = [CONTROL] * 3
    vocabulary.extra = {"eos_token_id": 0}
    write_model(
        tmp_path / "plain.gguf", "llama", llama_weights(len(vocabulary.tokens)), vocabulary, interleave=True
    )
    convert_gguf(tmp_path / "plain.gguf", tmp_path / "plain")
    return tmp_path / "plain"


def test_weights_and_tokenizer_come_back(model: Path, tmp_path: Path) -> None:
    write_gguf(model, tmp_path / "peer.gguf")
    convert_gguf(tmp_path / "peer.gguf", tmp_path / "again")
    weights, again = (load_file(path / "model.safetensors") for path in (model, tmp_path / "again"))
    assert weights.keys() == again.keys()
    for name, weight in weights.items():
        # Quantized twice; the scale is rounded to float16 each time.
        np.testing.assert_allclose(again[name], weight, atol=np.abs(weight).max() / 500, err_msg=name)
    ours, theirs = (Tokenizer.from_directory(path) for path in (model, tmp_path / "again"))
    assert theirs.encode(TEXT) == ours.encode(TEXT)
    config, other = (json.loads((path / "config.json").read_text()) for path in (model, tmp_path / "again"))
    same = ("hidden_size", "num_attention_heads", "num_key_value_heads", "rope_parameters")
    assert [config[name] for name in same] == [other[name] for name in same]
    assert other["rms_norm_eps"] == pytest.approx(config["rms_norm_eps"])


@pytest.mark.parametrize(("weight_type", "tolerance"), [("f32", 0.0), ("f16", 1 / 2048)])
def test_other_weight_types(model: Path, tmp_path: Path, weight_type: WeightType, tolerance: float) -> None:
    write_gguf(model, tmp_path / "peer.gguf", weight_type)
    assert read_gguf(tmp_path / "peer.gguf").tensors["blk.0.attn_norm.weight"].kind is Kind.F32
    convert_gguf(tmp_path / "peer.gguf", tmp_path / "again")
    weights, again = (load_file(path / "model.safetensors") for path in (model, tmp_path / "again"))
    for name, weight in weights.items():
        np.testing.assert_allclose(again[name], weight, rtol=tolerance, atol=1e-7, err_msg=name)


def test_sentinels_are_named_in_the_file(plain_model: Path, tmp_path: Path) -> None:
    made = with_sentinels(plain_model, "llama", tmp_path / "work")
    assert (made.fim_format, made.has_borrowed_sentinels) == (FIM_FORMAT, True)
    tokenizer = Tokenizer.from_directory(made.directory)
    assert detect_fim_format(tokenizer, FIM_FORMAT, "llama").format.name == FIM_FORMAT
    assert [tokenizer.token_id(name) for name in ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")] == [1, 2, 3]
    assert tokenizer.encode(TEXT) == Tokenizer.from_directory(plain_model).encode(TEXT)
    metadata = read_gguf(ensure_gguf(made.directory, tmp_path / "work"))
    roles = [metadata.integer(f"tokenizer.ggml.fim_{short}_token_id") for short in ("pre", "suf", "mid")]
    assert roles == [1, 2, 3]


def test_a_format_of_two_sentinels_is_given_a_third_for_the_peer(plain_model: Path, tmp_path: Path) -> None:
    """As our own adapters have it: suffix and middle; llama.cpp's /infill is refused without a prefix token."""
    path = plain_model / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    for old, new in zip(RESERVED[1:], ("<|fim_suffix|>", "<|fim_middle|>"), strict=True):
        text = text.replace(json.dumps(old), json.dumps(new))
    end = Tokenizer.from_directory(plain_model).token_id("<|endoftext|>")
    path.write_text(text.replace(json.dumps("<|endoftext|>"), json.dumps("<|fim_end|>")), encoding="utf-8")
    assert end is not None
    write_gguf(plain_model, tmp_path / "peer.gguf")
    metadata = read_gguf(tmp_path / "peer.gguf")
    roles = [metadata.integer(f"tokenizer.ggml.fim_{short}_token_id") for short in ("pre", "suf", "mid")]
    assert roles == [1, 2, 3]
    write_gguf(plain_model, tmp_path / "own.gguf", lends_prefix=False)
    own = read_gguf(tmp_path / "own.gguf")
    assert [own.integer(f"tokenizer.ggml.fim_{short}_token_id", -1) for short in ("pre", "suf", "mid")] == [
        -1,
        2,
        3,
    ]


def test_what_is_made_is_kept(plain_model: Path, tmp_path: Path) -> None:
    first = ensure_gguf(with_sentinels(plain_model, "llama", tmp_path / "work").directory, tmp_path / "work")
    made_at = first.stat().st_mtime_ns
    second = ensure_gguf(with_sentinels(plain_model, "llama", tmp_path / "work").directory, tmp_path / "work")
    assert (second, second.stat().st_mtime_ns) == (first, made_at)
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["plain-sentinels", first.name]


def test_a_model_with_a_format_of_its_own_is_left_alone(model: Path, tmp_path: Path) -> None:
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    for token in tokenizer["added_tokens"]:
        if token["content"] == "<tab run>":
            token |= {"content": "<fim_pad>", "special": True}
    tokenizer["model"]["vocab"]["<fim_pad>"] = tokenizer["model"]["vocab"].pop("<tab run>")
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    made = with_sentinels(model, "starcoder2", tmp_path / "work")
    assert (made.directory, made.fim_format, made.has_borrowed_sentinels) == (model, "auto", False)


def test_what_cannot_be_written_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="neither fill-in-the-middle tokens nor <jupyter_start>"):
        with_sentinels(model, "llama", tmp_path / "work")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(ModelFormatError, match="'gpt2'"):
        write_gguf(model, tmp_path / "peer.gguf")


def test_a_weight_that_llama_cpp_does_not_read_is_left_out(model: Path, tmp_path: Path) -> None:
    weights = load_file(model / "model.safetensors")
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.zeros(4, np.float32)
    save_file(weights, model / "model.safetensors")
    write_gguf(model, tmp_path / "peer.gguf")
    assert len(read_gguf(tmp_path / "peer.gguf").tensors) == len(weights) - 1
    assert gguf_name("model.layers.12.mlp.up_proj.weight") == "blk.12.ffn_up.weight"
    assert gguf_name("model.layers.0.self_attn.q_proj.bias") == "blk.0.attn_q.bias"
