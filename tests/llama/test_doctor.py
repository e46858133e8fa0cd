"""What ``doctor`` says of a GGUF file: both engines where both run it, llama.cpp's words where it does not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from completion_server.cli.app import app
from completion_server.cli.doctor_finding import Measurements
from completion_server.cli.doctor_llama import keep_choice
from completion_server.config import ModelSettings
from completion_server.llama import build, child
from completion_server.llama.timing import LlamaSpeed
from tests.catalog.gguf_samples import write_tiny_llama
from tests.support.tiny_gguf import write_alphabet_gguf

needs_llama = pytest.mark.skipif(not child.is_installed(), reason="xllamacpp is not installed")
NATIVE = Measurements(load_s=1.0, prefill_tokens_per_s=1000.0, decode_ms=25.0, forward_ms={1: 25.0})
FAST, SLOW = LlamaSpeed(900.0, 12.0), LlamaSpeed(900.0, 24.0)


def doctor(path: Path, cache: Path, engine: str) -> dict[str, Any]:
    environment = {
        "COMPLETION_SERVER_MODEL_CACHE_DIR": str(cache),
        "COMPLETION_SERVER_MODEL_NAME": str(path),
        "COMPLETION_SERVER_MODEL_ENGINE": engine,
        "COMPLETION_SERVER_MODEL_NUM_THREADS": "1",
        "COMPLETION_SERVER_MODEL_DTYPE": "float32",
    }
    result = CliRunner().invoke(app, ["doctor", "--json"], env=environment)
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


@needs_llama
def test_both_are_measured_where_both_run_the_file(tmp_path: Path) -> None:
    value = doctor(write_alphabet_gguf(tmp_path / "alphabet.gguf"), tmp_path, "auto")
    assert value["measured"]["decode_ms"] > 0
    assert value["llama"]["decode_ms"] > 0
    assert value["llama"]["prefill_tokens_per_s"] > 0


@needs_llama
def test_nothing_is_converted_for_llama_cpp(tmp_path: Path) -> None:
    value = doctor(write_alphabet_gguf(tmp_path / "alphabet.gguf"), tmp_path, "llama")
    assert value["measured"] is None
    assert value["llama"]["decode_ms"] > 0
    assert not [warning for warning in value["warnings"] if "alphabet" in warning]
    assert list(tmp_path.iterdir()) == [tmp_path / "alphabet.gguf"]


@needs_llama
def test_a_refused_file_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    write_tiny_llama(path)
    path.write_bytes(path.read_bytes()[:-5000])
    value = doctor(path, tmp_path / "cache", "llama")
    assert any("llama.cpp: " in warning and "file bounds" in warning for warning in value["warnings"])
    value = doctor(path, tmp_path / "cache", "auto")
    assert not any("llama.cpp" in warning for warning in value["warnings"])
    assert value["model"]["problem"]


def test_auto_takes_the_clearly_faster_engine_from_now_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "is_installed", lambda: True)
    auto = ModelSettings(name=str(tmp_path / "a.gguf"))
    assert not build.prefers_llama(auto, tmp_path)
    assert "llama.cpp, which writes a token" in keep_choice(auto, FAST, NATIVE, tmp_path)
    assert build.prefers_llama(auto, tmp_path)
    for other in (dataclasses.replace(NATIVE, decode_ms=31.0), None):
        keep_choice(auto, SLOW, other, tmp_path)
        assert build.prefers_llama(auto, tmp_path)
    for chosen in ("native", "llama"):
        settings = ModelSettings(name=auto.name, engine=chosen)
        assert keep_choice(settings, SLOW, NATIVE, tmp_path) == ""
        assert not build.prefers_llama(settings, tmp_path)
    assert build.prefers_llama(auto, tmp_path)
    assert keep_choice(auto, SLOW, NATIVE, tmp_path) == ""
    assert not build.prefers_llama(auto, tmp_path)
    monkeypatch.setattr(build, "is_installed", lambda: False)
    keep_choice(auto, FAST, NATIVE, tmp_path)
    assert not build.prefers_llama(auto, tmp_path)
