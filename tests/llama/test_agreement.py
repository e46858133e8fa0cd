"""llama.cpp on a GGUF file writes what the same weights write here: all of it in float32, nearly all in F16."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Kind

from completion_server.backends.loading import load_model
from completion_server.bootstrap import resolve
from completion_server.catalog.gguf_convert import convert_gguf
from completion_server.config import ModelSettings, Settings
from completion_server.evaluation.agreement import Agreement, measure_agreement, read_places
from completion_server.evaluation.replay.peer_model import WeightType, write_gguf
from completion_server.tokenizer import Tokenizer
from tests.catalog.gguf_samples import write_tiny_llama


def silent(_message: str, _fraction: float | None) -> None: ...


def measured(gguf: Path, directory: Path, num_prompts: int, num_new: int) -> Agreement:
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
    exact = ModelSettings(device="cpu", dtype="float32", num_threads=1)
    model = load_model(directory, exact, gguf.parent, silent).model
    settings = Settings(model=ModelSettings(name=str(gguf), engine="llama", device="cpu", num_threads=1))
    return measure_agreement(settings, model, Tokenizer.from_directory(directory), num_prompts, num_new)


def test_places_are_in_code_and_each_another() -> None:
    places = list(read_places(20))
    assert len({document.text for document, _ in places}) == 20
    for document, position in places:
        assert document.line_prefix(position).strip()
        assert document.line_suffix(position) == ""


def test_the_same_float32_weights_write_the_same(tmp_path: Path) -> None:
    write_tiny_llama(tmp_path / "tiny.gguf", Kind.F32)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    agreement = measured(tmp_path / "tiny.gguf", tmp_path / "model", 16, 8)
    assert agreement.same_texts == agreement.same_next == 1.0
    assert agreement.mean_common_tokens == agreement.mean_tokens > 1


def test_other_weights_do_not(tmp_path: Path) -> None:
    write_tiny_llama(tmp_path / "tiny.gguf", Kind.F32)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    write_tiny_llama(tmp_path / "other.gguf", Kind.F32, seed=1)
    agreement = measured(tmp_path / "other.gguf", tmp_path / "model", 16, 8)
    assert agreement.same_texts < 1.0
    assert agreement.same_next < 0.9


@pytest.mark.default_model
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("weight_type", "least_next"), [("f16", 0.98), ("q8_0", 0.92)])
def test_the_model_in_the_box(tmp_path: Path, weight_type: WeightType, least_next: float) -> None:
    directory = resolve(Settings(), silent).path
    write_gguf(directory, tmp_path / "default.gguf", weight_type, lends_prefix=False)
    agreement = measured(tmp_path / "default.gguf", directory, 8, 6)
    assert agreement.num_positions > 30
    assert agreement.same_next >= least_next, agreement
