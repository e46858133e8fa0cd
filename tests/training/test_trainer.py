"""Runs: resumed equals uninterrupted bit for bit, checkpoints are whole, nothing that is no number goes unseen."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from completion_server.training import checkpoint
from completion_server.training.adapt import prepare_adapt
from completion_server.training.checkpoint import find_checkpoints, newest_adapter
from completion_server.training.error import TrainingError
from completion_server.training.finish import prepare_finish
from completion_server.training.run_log import LogFile
from completion_server.training.trainer import Trainer
from tests.training.conftest import make_task


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: each.detach().clone() for name, each in trainer.decoder.trainable().items()}


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("rank", [0, 2])
def test_a_resumed_run_equals_an_uninterrupted_one(
    tiny_model: Path, corpus: Path, tmp_path: Path, rank: int
) -> None:
    whole = prepare_adapt(make_task(tiny_model, corpus, tmp_path / "whole", rank=rank))
    assert whole.run()
    for stop_after in (2, 3, 6):
        trainer = prepare_adapt(make_task(tiny_model, corpus, tmp_path / "parts", rank=rank))
        is_done = trainer.run(lambda: trainer.state.step >= stop_after)  # noqa: B023 - called at once
        assert is_done == (stop_after == 6)
    assert_equal(weights_of(whole), weights_of(trainer))
    assert (trainer.state.num_examples, trainer.state.num_tokens) == (
        whole.state.num_examples,
        whole.state.num_tokens,
    )


def test_a_step_that_is_interrupted_changes_nothing(tiny_model: Path, corpus: Path, tmp_path: Path) -> None:
    trainer = prepare_adapt(make_task(tiny_model, corpus, tmp_path))
    trainer.settings = replace(trainer.settings, max_batch_tokens=100)
    before = weights_of(trainer)
    asked = iter([False, True])
    assert not trainer.run(lambda: next(asked))
    assert trainer.state.step == 0
    assert_equal(before, weights_of(trainer))


def test_a_full_disk_leaves_the_last_checkpoint(
    tiny_model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = prepare_adapt(make_task(tiny_model, corpus, tmp_path))
    trainer.run(lambda: trainer.state.step >= 2)
    real = checkpoint.save_file

    def save_half(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if path.name.startswith("optimizer"):
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", save_half)
    with pytest.raises(TrainingError, match="No space left"):
        trainer.run()
    monkeypatch.undo()
    assert [path.name for path in find_checkpoints(trainer.checkpoints)] == ["step-00000002"]
    assert not list(trainer.checkpoints.glob("*.incomplete"))
    again = prepare_adapt(make_task(tiny_model, corpus, tmp_path))
    assert again.state.step == 2


def test_another_recipe_does_not_continue_a_run(tiny_model: Path, corpus: Path, tmp_path: Path) -> None:
    prepare_adapt(make_task(tiny_model, corpus, tmp_path)).save()
    with pytest.raises(TrainingError, match="another model, corpus or recipe"):
        prepare_adapt(make_task(tiny_model, corpus, tmp_path, seed=1))


def test_a_longer_run_continues_a_shorter_one(tiny_model: Path, corpus: Path, tmp_path: Path) -> None:
    prepare_adapt(make_task(tiny_model, corpus, tmp_path, 2)).run()
    longer = prepare_adapt(make_task(tiny_model, corpus, tmp_path, 3))
    assert longer.state.step == 2
    assert longer.run()


def test_a_damaged_checkpoint_is_refused(tiny_model: Path, corpus: Path, tmp_path: Path) -> None:
    path = prepare_adapt(make_task(tiny_model, corpus, tmp_path)).save()
    weights = path / "trainable.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(TrainingError, match="cannot be read"):
        prepare_adapt(make_task(tiny_model, corpus, tmp_path))


def test_a_loss_that_is_no_number_stops_the_run(tiny_model: Path, corpus: Path, tmp_path: Path) -> None:
    trainer = prepare_adapt(make_task(tiny_model, corpus, tmp_path, 20))
    with torch.no_grad():
        trainer.decoder.norm.fill_(float("nan"))
    before = weights_of(trainer)
    with pytest.raises(TrainingError, match="not a number"):
        trainer.run()
    assert_equal(before, weights_of(trainer))
    assert trainer.state.num_skipped_steps == 5


def test_finishing_leaves_the_run_and_decays_to_zero(tiny_model: Path, corpus: Path, tmp_path: Path) -> None:
    task = make_task(tiny_model, corpus, tmp_path, 6)
    run = prepare_adapt(task)
    run.run(lambda: run.state.step >= 4)
    finish = prepare_finish(task, 3)
    finish.views.append(LogFile(finish.directory / "log.jsonl"))
    assert finish.state.step == 4
    assert finish.run()
    events = [json.loads(line) for line in (finish.directory / "log.jsonl").read_text().splitlines()]
    rates = [event["learning_rate"] for event in events if event["event"] == "step"]
    assert rates == [pytest.approx(2e-3), pytest.approx(1e-3), 0]
    assert prepare_adapt(task).state.step == 4
    assert newest_adapter(tmp_path) == finish.checkpoints / "step-00000007"


def test_finishing_computes_in_the_type_of_the_run(tiny_model: Path, corpus: Path, tmp_path: Path) -> None:
    task = replace(make_task(tiny_model, corpus, tmp_path, 6), dtype="bfloat16")
    run = prepare_adapt(task)
    run.run(lambda: run.state.step >= 1)
    assert prepare_finish(replace(task, dtype="auto"), 1).decoder.dtype is torch.bfloat16


def test_old_checkpoints_go(tiny_model: Path, corpus: Path, tmp_path: Path) -> None:
    trainer = prepare_adapt(make_task(tiny_model, corpus, tmp_path))
    for step in range(4):
        trainer.state.step = step
        trainer.save()
    assert [path.name for path in find_checkpoints(trainer.checkpoints)] == ["step-00000002", "step-00000003"]
