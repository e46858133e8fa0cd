"""Adapters: peft's format, merged weights that compute the same, tokens with a new meaning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from completion_server.tokenizer import Tokenizer
from completion_server.training.adapt import build_decoder, prepare_tokenizer, read_weights
from completion_server.training.decoder import Decoder, LoraSettings
from completion_server.training.error import TrainingError
from completion_server.training.export import merge_adapter
from completion_server.training.lora import AdapterFacts, load_adapter, read_adapter_config, save_adapter
from completion_server.training.packing import pack
from completion_server.training.schedule import Schedule
from completion_server.training.vocabulary import respell_tokenizer
from tests.training.conftest import make_task
from tests.training.test_decoder import SEQUENCES, as_example


@pytest.fixture
def reserved_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model with sentinels that are called like SmolLM2's reserved tokens."""
    directory = tmp_path / "reserved"
    old = {"<|fim_suffix|>": "<issue_start>", "<|fim_middle|>": "<issue_comment>", "<|fim_end|>": "<issue_closed>"}
    respell_tokenizer(tiny_model, directory, old)
    for name in ("config.json", "model.safetensors"):
        (directory / name).write_bytes((tiny_model / name).read_bytes())
    return directory


@pytest.fixture
def decoder(reserved_model: Path, corpus: Path, tmp_path: Path) -> Decoder:
    """With an adapter that does something."""
    task = make_task(reserved_model, corpus, tmp_path / "run")
    tokenizer, facts = prepare_tokenizer(reserved_model, tmp_path / "tokenizer", "reserved")
    decoder = build_decoder(task, tokenizer, facts)
    torch.manual_seed(0)
    with torch.no_grad():
        for each in decoder.trainable().values():
            each += torch.randn_like(each) * 0.1
    return decoder


FACTS = AdapterFacts("reserved", "spm", {"<issue_start>": "<|fim_suffix|>", "<issue_closed>": "<|fim_end|>"})


def nll(decoder: Decoder) -> list[float]:
    values: list[float] = decoder(pack([as_example(each) for each in SEQUENCES]))[1].tolist()
    return values


def test_merged_weights_compute_what_the_adapter_does(
    decoder: Decoder, reserved_model: Path, tmp_path: Path
) -> None:
    save_adapter(tmp_path / "adapter", decoder, FACTS, torch.float32)
    merge_adapter(reserved_model, tmp_path / "adapter", tmp_path / "merged")
    plain = Decoder(decoder.config, read_weights(tmp_path / "merged"), LoraSettings(rank=0), torch.float32)
    assert nll(plain) == pytest.approx(nll(decoder), abs=1e-4)
    tokenizer = Tokenizer.from_directory(tmp_path / "merged")
    assert tokenizer.token_id("<|fim_suffix|>") == Tokenizer.from_directory(reserved_model).token_id(
        "<issue_start>"
    )
    assert tokenizer.token_id("<issue_start>") is None


def test_an_adapter_comes_back_from_the_disk(decoder: Decoder, tmp_path: Path, reserved_model: Path) -> None:
    save_adapter(tmp_path / "adapter", decoder, FACTS, torch.float32)
    fresh = Decoder(decoder.config, read_weights(reserved_model), decoder.settings, torch.float32, seed=5)
    assert nll(fresh) != nll(decoder)
    load_adapter(tmp_path / "adapter", fresh)
    assert nll(fresh) == nll(decoder)
    other = Decoder(decoder.config, read_weights(reserved_model), LoraSettings(rank=5), torch.float32)
    with pytest.raises(TrainingError, match="does not fit"):
        load_adapter(tmp_path / "adapter", other)
    with pytest.raises(TrainingError, match="no adapter"):
        read_adapter_config(tmp_path)


def test_an_adapter_is_small_and_says_what_it_is(decoder: Decoder, tmp_path: Path) -> None:
    save_adapter(tmp_path, decoder, FACTS)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight" in tensors
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["r"] == 2
    assert config["completion_server"]["fim_format"] == "spm"
    assert config["trainable_token_indices"] == {"embed_tokens": list(decoder.settings.row_ids)}


@pytest.mark.filterwarnings("ignore")
def test_peft_reads_it_and_agrees(decoder: Decoder, reserved_model: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    save_adapter(tmp_path / "adapter", decoder, FACTS, torch.float32)
    base = AutoModelForCausalLM.from_pretrained(reserved_model, dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    expected = []
    for token_ids in (*SEQUENCES, list(decoder.settings.row_ids)):
        with torch.no_grad():
            log_probs = model(torch.tensor([token_ids])).logits[0].log_softmax(-1)
        expected += [-float(log_probs[i, token_id]) for i, token_id in enumerate(token_ids[1:])]
    batch = pack([as_example(each) for each in (*SEQUENCES, list(decoder.settings.row_ids))])
    assert decoder(batch)[1].tolist() == pytest.approx(expected, abs=1e-3)


def test_new_tokens_begin_like_tokens_that_mean_something(
    reserved_model: Path, corpus: Path, tmp_path: Path
) -> None:
    tokenizer, facts = prepare_tokenizer(reserved_model, tmp_path / "tokenizer", "reserved")
    decoder = build_decoder(make_task(reserved_model, corpus, tmp_path / "run"), tokenizer, facts)
    end = decoder.settings.row_ids.index(tokenizer.token_id("<|fim_end|>"))  # type: ignore[arg-type]
    document_end = tokenizer.token_id("<|endoftext|>")
    assert document_end is not None
    assert torch.equal(decoder.rows[end], decoder.embedding[document_end].float())


def test_a_model_with_a_format_keeps_its_tokens(tiny_model: Path, tmp_path: Path) -> None:
    _, facts = prepare_tokenizer(tiny_model, tmp_path, "tiny")
    assert (facts.fim_format, facts.token_spellings) == ("spm", None)


def test_tokens_that_are_not_there_or_taken_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no added token <nothing>"):
        respell_tokenizer(tiny_model, tmp_path, {"<nothing>": "<|new|>"})
    with pytest.raises(TrainingError, match="already"):
        respell_tokenizer(tiny_model, tmp_path, {"<|fim_end|>": "<|fim_suffix|>"})


@pytest.mark.parametrize(
    ("kind", "rates"),
    [
        ("wsd", [0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]),
        ("linear", [0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]),
        ("constant", [0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_rates_by_step(kind: str, rates: list[float]) -> None:
    schedule = Schedule(1.0, 10, 2, kind, 6)
    assert [schedule.rate(step) for step in range(10)] == pytest.approx(rates, abs=1e-9)


def test_a_cosine_falls_slowly_at_both_ends() -> None:
    schedule = Schedule(1.0, 101, 1, "cosine")
    assert schedule.rate(1) > 0.99
    assert schedule.rate(50) == pytest.approx(0.5, abs=0.02)
    assert schedule.rate(100) == 0
    with pytest.raises(TrainingError, match="no such schedule"):
        Schedule(1.0, 10, kind="step")
