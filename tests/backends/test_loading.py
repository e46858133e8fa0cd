"""Model directories: what loads, what is refused, and what the refusal says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from completion_server.backends import loading, torch_loading
from completion_server.backends.hf import TransformersModel
from completion_server.backends.loading import LoadedModel, read_config
from completion_server.backends.native import NativeModel
from completion_server.backends.torch_loading import choose_device, choose_dtype
from completion_server.config import ModelSettings
from completion_server.errors import ModelError, ModelFormatError, UnsupportedModelError
from tests.support.tiny_models import make_transformers_model

FLOAT32 = ModelSettings(dtype="float32", device="cpu")
TOKENS = list(range(40))


def load_model(directory: Path, settings: ModelSettings, progress: loading.Progress) -> LoadedModel:
    return loading.load_model(directory, settings, directory / "made", progress)


def no_progress(_message: str, _fraction: float | None) -> None: ...


def save(shape: str, directory: Path, **options: object) -> Path:
    make_transformers_model(shape).float().save_pretrained(directory, **options)
    return directory


@pytest.mark.parametrize(
    ("shape", "kind", "backend"),
    [
        ("llama", NativeModel, "native"),
        ("llama_untied", NativeModel, "native"),
        ("qwen2", NativeModel, "native"),
        ("gpt2", TransformersModel, "transformers"),
        ("starcoder2", TransformersModel, "transformers"),
    ],
)
def test_a_directory_of_safetensors_loads(shape: str, kind: type, backend: str, tmp_path: Path) -> None:
    loaded = load_model(save(shape, tmp_path), FLOAT32, no_progress)
    assert isinstance(loaded.model, kind)
    assert (loaded.backend, loaded.device, loaded.dtype) == (backend, "cpu", "float32")
    expected = make_transformers_model(shape).float()(torch.tensor([TOKENS])).logits[0]
    actual = loaded.model.forward(TOKENS, loaded.model.new_kv_cache(), len(TOKENS))
    torch.testing.assert_close(torch.from_numpy(actual), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_a_sharded_directory_loads(shape: str, tmp_path: Path) -> None:
    save(shape, tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = load_model(tmp_path, FLOAT32, no_progress)
    assert loaded.model.forward(TOKENS, loaded.model.new_kv_cache(), 1).shape[0] == 1


def test_shards_outside_the_directory_are_refused(tmp_path: Path) -> None:
    save("llama", tmp_path, max_shard_size="20KB")
    index = tmp_path / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"] = dict.fromkeys(content["weight_map"], "../elsewhere.safetensors")
    index.write_text(json.dumps(content))
    with pytest.raises(ModelFormatError, match="outside"):
        load_model(tmp_path, FLOAT32, no_progress)


@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_pickle_is_never_read(shape: str, tmp_path: Path) -> None:
    save(shape, tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelFormatError, match="never pickle"):
        load_model(tmp_path, FLOAT32, no_progress)


def test_remote_code_is_never_run(tmp_path: Path) -> None:
    save("gpt2", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {
        "model_type": "own_code",
        "auto_map": {"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text("raise SystemExit('this code was run')")
    with pytest.raises(UnsupportedModelError):
        load_model(tmp_path, FLOAT32, no_progress)


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\xff" * 64])
def test_damaged_weights_are_a_clear_error(damage: bytes, tmp_path: Path) -> None:
    save("llama", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(damage)
    with pytest.raises(ModelFormatError, match="cannot be read"):
        load_model(tmp_path, FLOAT32, no_progress)


def test_weights_that_are_not_there_are_a_clear_error(tmp_path: Path) -> None:
    save("llama", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ModelFormatError, match=r"layers\.2"):
        load_model(tmp_path, FLOAT32, no_progress)


@pytest.mark.parametrize("content", [None, "", "[1]", "{", '{"model_type": "llama"}'])
def test_a_bad_config_is_a_clear_error(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError):
        load_model(tmp_path, FLOAT32, no_progress)


def test_recurrent_models_are_refused(tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=32, hidden_size=16, num_hidden_layers=1, state_size=4)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match="cut back"):
        load_model(tmp_path, FLOAT32, no_progress)


def test_a_device_that_is_not_there_falls_back_to_the_cpu() -> None:
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        for name in ("auto", "cuda", "mps", "cpu"):
            assert choose_device(name).type == "cpu"


def test_weight_type_follows_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    for has_bfloat16, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch_loading, "_has_fast_bfloat16", lambda has=has_bfloat16: has)
        assert choose_dtype("auto", torch.device("cpu")) == expected
    assert choose_dtype("auto", torch.device("cuda")) == torch.bfloat16
    assert choose_dtype("auto", torch.device("mps")) == torch.float16
    assert choose_dtype("float16", torch.device("cpu")) == torch.float16


def test_read_config_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="not a model directory"):
        read_config(tmp_path)
