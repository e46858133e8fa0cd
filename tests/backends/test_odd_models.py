"""Model folders with odd contents end in a ModelError that names the folder, and never in a network."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

from completion_server.backends.loading import load_model, read_config
from completion_server.config import ModelSettings
from completion_server.errors import ModelError

LLAMA = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=1, max_position_embeddings=128,
)  # fmt: skip
GPT2 = GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2, n_positions=64)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for name, config in {"llama": LLAMA, "gpt2": GPT2}.items():
        folders[name] = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folders[name])
    return folders


def load(directory: Path, dtype: str = "auto") -> None:
    settings = ModelSettings(dtype=dtype, device="cpu", num_threads=1)
    load_model(directory, settings, directory / "made", lambda *_: None)


def changed(whole: Path, folder: Path, **values: Any) -> Path:
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))
    return folder


KEYS = ["hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size",
        "vocab_size", "max_position_embeddings", "head_dim", "rms_norm_eps", "rope_theta", "model_type",
        "rope_scaling", "rope_parameters", "tie_word_embeddings", "hidden_act"]  # fmt: skip
VALUES: list[Any] = [
    0, -1, 1, 7, 10**15, 10**400, 1.5, float("nan"), float("inf"), True, None, "", "x", "12", [], [1], {},
    {"rope_type": ["x"]},
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_odd_values(whole: dict[str, Path], tmp_path: Path, key: str) -> None:
    for number, value in enumerate(VALUES):
        folder = changed(whole["llama"], tmp_path / str(number), **{key: value})
        for dtype in ("auto", "float32"):
            problem = ""
            try:
                load(folder, dtype)
            except ModelError as error:
                problem = str(error)
            assert not problem or str(folder) in problem, (value, problem)
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("max_position_embeddings", 10**15), ("vocab_size", -1), ("num_hidden_layers", 10**6), ("hidden_size", True),
     ("n_positions", 10**12), ("text_config", {"hidden_size": 10**9}), ("rope_theta", "nan")],
)  # fmt: skip
def test_sizes_are_looked_at_before_anything_is_allocated(
    whole: dict[str, Path], tmp_path: Path, key: str, value: Any
) -> None:
    folder = changed(whole["llama"], tmp_path, **{key: value})
    with pytest.raises(ModelError, match=next(iter(value)) if isinstance(value, dict) else key):
        read_config(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"{" + b" " * 5_000_000 + b"}", b'{"a":' * 5000]
)
def test_odd_files(whole: dict[str, Path], tmp_path: Path, content: bytes) -> None:
    folder = changed(whole["llama"], tmp_path)
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"config\.json"):
        load(folder)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_pipes_and_folders_in_place_of_files(whole: dict[str, Path], tmp_path: Path, name: str) -> None:
    for make in (os.mkfifo, Path.mkdir):
        folder = changed(whole["llama"], tmp_path / make.__name__)
        (folder / name).unlink()
        make(folder / name)
        with pytest.raises(ModelError):
            load(folder)


@pytest.mark.parametrize("shape", ["llama", "gpt2"])
@pytest.mark.parametrize(
    "values",
    [
        {"attn_implementation": "org/kernel"},
        {"_attn_implementation": "org/kernel@main:flash"},
        {"attn_implementation": {"": "org/kernel"}},
        {"experts_implementation": "org/kernel"},
        {
            "auto_map": {
                "AutoModelForCausalLM": "org/code--modeling.Model",
                "AutoConfig": "org/code--config.Config",
            }
        },
        {"use_kernels": True, "kernel_config": {"kernel_mapping": {"RMSNorm": "org/kernel:Norm"}}},
        {"name_or_path": "org/other", "_name_or_path": "org/other"},
        {"custom_generate": "org/code"},
    ],
)
def test_a_config_makes_nobody_look_for_code(
    whole: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str, values: dict[str, Any]
) -> None:
    def refuse(*arguments: object, **_options: object) -> None:
        raise AssertionError(f"looked up {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    load(changed(whole[shape], tmp_path, **values), "float32")
