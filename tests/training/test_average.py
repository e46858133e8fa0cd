"""The mean of two adapters: what it is near to, what it tells, and what cannot be averaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from completion_server.training.adapt import prepare_adapt
from completion_server.training.adapter_card import write_adapter_with_card
from completion_server.training.average import average_adapters
from completion_server.training.checkpoint import newest_adapter
from completion_server.training.earlier_stage import EarlierStage, find_earlier_stage
from completion_server.training.error import TrainingError
from completion_server.training.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from tests.training.conftest import make_task

EMBEDDINGS = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"


@pytest.fixture(scope="module")
def second(tiny_model: Path, corpus: Path, first_stage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that began with the adapter of ``first_stage``."""
    task = make_task(tiny_model, corpus, tmp_path_factory.mktemp("second") / "run", 3, earlier=first_stage)
    trainer = prepare_adapt(task)
    assert trainer.run()
    return trainer.directory


def changes(adapter: Path) -> dict[str, torch.Tensor]:
    """What the adapter adds to each weight, but for the scale."""
    tensors = load_file(adapter / ADAPTER_WEIGHTS)
    return {
        name: tensors[name.replace("lora_A", "lora_B")].double() @ down.double()
        for name, down in tensors.items()
        if "lora_A" in name
    }


def as_float(adapter: Path, target: Path, row: float = 0.0) -> Path:
    """``adapter`` in float64, so that a mean of it is not rounded, and with an embedding of ``row``."""
    shutil.copytree(adapter, target)
    tensors = {name: tensor.double() for name, tensor in load_file(adapter / ADAPTER_WEIGHTS).items()}
    tensors[EMBEDDINGS] = torch.full((1, 4), row)
    save_file(tensors, target / ADAPTER_WEIGHTS)
    return target


def with_config(adapter: Path, target: Path, **changes: object) -> Path:
    """``adapter`` in ``target``, with ``changes`` in its configuration."""
    shutil.copytree(adapter, target)
    config = json.loads((target / ADAPTER_CONFIG).read_text())
    (target / ADAPTER_CONFIG).write_text(json.dumps(config | changes))
    return target


def test_no_matrix_of_the_rank_is_nearer_to_the_mean(first_stage: Path, second: Path, tmp_path: Path) -> None:
    newest = as_float(newest_adapter(second), tmp_path / "newest", 1.0)
    earlier = as_float(newest_adapter(first_stage), tmp_path / "earlier", 4.0)
    average = average_adapters(newest, EarlierStage(earlier, "", ()), tmp_path / "average")
    one, other, mean = changes(newest), changes(earlier), changes(average)
    assert one.keys() == mean.keys()
    for name, change in mean.items():
        wanted = (one[name] + other[name]) / 2
        rank = min(2, *wanted.shape)
        assert torch.linalg.matrix_rank(change) <= rank
        left_out = torch.linalg.svdvals(wanted)[rank:].square().sum().sqrt()
        torch.testing.assert_close(torch.linalg.norm(wanted - change), left_out, rtol=1e-6, atol=1e-9)
    assert load_file(average / ADAPTER_WEIGHTS)[EMBEDDINGS].tolist() == [[2.5] * 4]


def test_the_mean_with_itself_is_itself(second: Path, tmp_path: Path) -> None:
    newest = as_float(newest_adapter(second), tmp_path / "newest")
    mean = changes(average_adapters(newest, EarlierStage(newest, "", ()), tmp_path / "average"))
    for name, change in changes(newest).items():
        torch.testing.assert_close(mean[name], change)


def test_card_and_stages_tell_of_it(first_stage: Path, second: Path, tmp_path: Path) -> None:
    earlier = find_earlier_stage(first_stage)
    num_tokens = earlier.stages[-1]["num_tokens"]
    average = average_adapters(newest_adapter(second), earlier, tmp_path / "average")
    assert {tensor.dtype for tensor in load_file(average / ADAPTER_WEIGHTS).values()} == {torch.bfloat16}
    write_adapter_with_card(average, second, tmp_path / "exported")
    card = (tmp_path / "exported" / "README.md").read_text()
    assert (
        f"* The weights are the mean of what they were then and after {num_tokens:,} tokens, of the same" in card
    )
    stages = find_earlier_stage(tmp_path / "exported").stages
    assert [each.get("averaged_with_tokens") for each in stages] == [None, num_tokens]


def test_a_stage_after_it_says_what_it_began_with(
    tiny_model: Path, corpus: Path, first_stage: Path, second: Path, tmp_path: Path
) -> None:
    average = average_adapters(newest_adapter(second), find_earlier_stage(first_stage), tmp_path / "average")
    write_adapter_with_card(average, second, tmp_path / "exported")
    task = make_task(tiny_model, corpus, tmp_path / "third", 1, earlier=tmp_path / "exported")
    assert prepare_adapt(task).run()
    write_adapter_with_card(newest_adapter(tmp_path / "third"), tmp_path / "third", tmp_path / "last")
    assert "; averaged with the adapter after " in (tmp_path / "last" / "README.md").read_text()


def test_the_base_may_lie_elsewhere(first_stage: Path, second: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    moved = with_config(newest_adapter(first_stage), tmp_path / "moved", base_model_name_or_path=str(base))
    average_adapters(newest_adapter(second), EarlierStage(moved, "", ()), tmp_path / "average")
    assert (tmp_path / "average" / ADAPTER_WEIGHTS).is_file()


def test_what_is_not_alike_is_refused(first_stage: Path, second: Path, tmp_path: Path) -> None:
    newest, earlier = newest_adapter(second), find_earlier_stage(first_stage)
    for name, value in (("r", 4), ("base_model_name_or_path", "another")):
        other = with_config(earlier.adapter, tmp_path / name, **{name: value})
        with pytest.raises(TrainingError, match=f"cannot be averaged: another {name}"):
            average_adapters(newest, EarlierStage(other, "", ()), tmp_path / "average")
    fewer = tmp_path / "fewer"
    shutil.copytree(earlier.adapter, fewer)
    save_file({EMBEDDINGS: torch.zeros(1, 4)}, fewer / ADAPTER_WEIGHTS)
    with pytest.raises(TrainingError, match="they change different weights"):
        average_adapters(newest, EarlierStage(fewer, "", ()), tmp_path / "average")
    (fewer / ADAPTER_WEIGHTS).write_bytes(b"no tensors")
    with pytest.raises(TrainingError, match="cannot be averaged"):
        average_adapters(newest, EarlierStage(fewer, "", ()), tmp_path / "average")
    assert not (tmp_path / "average").exists()
