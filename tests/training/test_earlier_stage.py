"""A run begins with the adapter of an earlier one, tells of it, and goes on and finishes like any other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from completion_server.catalog.adapter import find_adapter
from completion_server.evaluation.held_out import MANIFEST_NAME, SourceFile, split_path, write_files
from completion_server.training.adapt import AdaptTask, prepare_adapt
from completion_server.training.adapter_card import write_adapter_with_card
from completion_server.training.checkpoint import RunState, newest_adapter
from completion_server.training.earlier_stage import find_earlier_stage
from completion_server.training.error import TrainingError
from completion_server.training.fim_transform import FimRates
from completion_server.training.finish import prepare_finish
from tests.training.conftest import make_task
from tests.training.test_repository_context import files_of
from tests.training.test_trainer import assert_equal, weights_of

WITH_SNIPPETS = FimRates(max_tokens=128, snippets=1.0, named_elsewhere=0.5, max_snippet_tokens=64)


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of repositories whose files import each other."""
    directory = tmp_path_factory.mktemp("data") / "corpus"
    directory.mkdir()
    for split, names in {"train": ("wheel:a", "wheel:b"), "validation": ("wheel:c",), "held-out": ()}.items():
        files: list[SourceFile] = [file for name in names for file in files_of(name)]
        write_files(split_path(directory, split), files)
    (directory / MANIFEST_NAME).write_text('{"language_shares": {}, "sources": []}', encoding="utf-8")
    return directory


def second_task(model: Path, corpus: Path, directory: Path, earlier: Path, num_steps: int = 4) -> AdaptTask:
    return make_task(model, corpus, directory, num_steps, rates=WITH_SNIPPETS, earlier=earlier)


def test_it_begins_with_the_weights_and_everything_else_anew(
    tiny_model: Path, repositories: Path, first_stage: Path, tmp_path: Path
) -> None:
    trainer = prepare_adapt(second_task(tiny_model, repositories, tmp_path / "run", first_stage))
    rounded = load_file(newest_adapter(first_stage) / "trainable.safetensors")
    weights = weights_of(trainer)
    assert rounded.keys() == weights.keys()
    assert all(torch.equal(rounded[name].bfloat16().float(), weights[name]) for name in weights)
    assert any(bool(weight.any()) for name, weight in weights.items() if "lora_b" in name)
    assert trainer.state == RunState()
    assert trainer.run()
    (earlier,) = json.loads((tmp_path / "run" / "run.json").read_text())["earlier_stages"]
    assert (earlier["num_steps"], earlier["examples_per_step"], earlier["snippets"]) == (2, 4, 0)
    assert (
        earlier["num_tokens"] == json.loads((newest_adapter(first_stage) / "state.json").read_text())["num_tokens"]
    )


def test_a_resumed_second_stage_equals_an_uninterrupted_one(
    tiny_model: Path, repositories: Path, first_stage: Path, tmp_path: Path
) -> None:
    whole = prepare_adapt(second_task(tiny_model, repositories, tmp_path / "whole", first_stage))
    assert whole.run()
    for stop_after in (1, 3, 4):
        parts = prepare_adapt(second_task(tiny_model, repositories, tmp_path / "parts", first_stage))
        parts.run(lambda: parts.state.step >= stop_after)  # noqa: B023 - called at once
    assert_equal(weights_of(whole), weights_of(parts))
    assert parts.state.num_tokens == whole.state.num_tokens


def test_a_finish_keeps_what_it_began_with_and_the_card_tells_of_all_stages(
    tiny_model: Path, repositories: Path, first_stage: Path, tmp_path: Path
) -> None:
    task = second_task(tiny_model, repositories, tmp_path / "run", first_stage)
    run = prepare_adapt(task)
    run.run(lambda: run.state.step >= 2)
    finish = prepare_finish(task, 1)
    assert finish.state.step == 2
    assert finish.run()
    adapter = newest_adapter(task.directory)
    assert adapter == finish.checkpoints / "step-00000003"
    write_adapter_with_card(adapter, task.directory, tmp_path / "exported")
    card = (tmp_path / "exported" / "README.md").read_text()
    assert "* 3 steps of 4 examples" in card
    assert "* Before that, 2 steps of 4 examples" in card
    assert "; holes: rest-of-line 40%, whole-line 25%, block 20%, random 15%; no snippets of" in card
    assert "* Snippets of other files in 100% of the examples with a hole, 50% of those" in card
    exported = find_earlier_stage(tmp_path / "exported")
    assert [(each["num_steps"], each["snippets"]) for each in exported.stages] == [(2, 0.0), (3, 1.0)]
    assert exported.sha256 == find_earlier_stage(task.directory).sha256
    third = prepare_adapt(second_task(tiny_model, repositories, tmp_path / "third", tmp_path / "exported"))
    assert len(json.loads((third.directory / "run.json").read_text())["earlier_stages"]) == 2


def test_another_beginning_does_not_continue_a_run(
    tiny_model: Path, repositories: Path, first_stage: Path, tmp_path: Path
) -> None:
    task = second_task(tiny_model, repositories, tmp_path / "run", first_stage)
    prepare_adapt(task).save()
    for other in (replace(task, earlier=None), replace(task, rates=replace(WITH_SNIPPETS, snippets=0.5))):
        with pytest.raises(TrainingError, match="another model, corpus or recipe"):
            prepare_adapt(other)


def test_a_run_of_before_there_were_snippets_goes_on(tiny_model: Path, corpus: Path, tmp_path: Path) -> None:
    """Its checkpoints bear a hash of these facts, in this order, and of nothing else."""
    rates = "FimRates(plain=0.1, psm=0.0, joint=0.5, no_middle=0.02, no_suffix=0.08, short_suffix=0.25, "
    rates += "prefix_weight=0.3, max_tokens=640, max_suffix_tokens=256, max_middle_tokens=192, "
    rates += "kinds={<SpanKind.REST_OF_LINE: 'rest-of-line'>: 0.4, <SpanKind.WHOLE_LINE: 'whole-line'>: 0.25, "
    rates += "<SpanKind.BLOCK: 'block'>: 0.2, <SpanKind.RANDOM: 'random'>: 0.15})"
    facts = (tiny_model / "model.safetensors").read_bytes() + (corpus / MANIFEST_NAME).read_bytes()
    facts += f"({rates}, 2, 32.0, 0)".encode()
    trainer = prepare_adapt(make_task(tiny_model, corpus, tmp_path, rates=FimRates()))
    assert trainer.identity == hashlib.sha256(facts).hexdigest()


def test_what_does_not_fit_is_refused(
    tiny_model: Path, repositories: Path, first_stage: Path, tmp_path: Path
) -> None:
    task = second_task(tiny_model, repositories, tmp_path / "run", first_stage)
    with pytest.raises(TrainingError, match="rank 2 and alpha"):
        prepare_adapt(replace(task, rank=4))
    with pytest.raises(TrainingError, match="has no checkpoint"):
        prepare_adapt(replace(task, earlier=tmp_path / "nowhere"))
    with pytest.raises(TrainingError, match="is for base, not for another"):
        prepare_adapt(replace(task, base_name="another"))
    with pytest.raises(TrainingError, match="rank 2 and alpha"):
        prepare_adapt(replace(task, rank=0))


def test_the_adapter_in_the_box_tells_what_it_learned() -> None:
    shipped = find_adapter("smollm2-135m-fim")
    stages = find_earlier_stage(shipped.path).stages
    card = (shipped.path / "README.md").read_text(encoding="utf-8")
    for stage in stages:
        steps = f"{stage['num_steps']:,} steps of {stage['examples_per_step']} examples"
        assert f"{steps}, {stage['num_tokens']:,} tokens" in card
        assert stage["snippets"] == 0
    assert sum(stage["num_tokens"] for stage in stages) >= 2_500_000
