"""A repository of one's own: files kept apart, scores before and after, and a verdict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from completion_server.catalog.manifest import Manifest, write_manifest
from completion_server.config import ContextSettings, Settings
from completion_server.context.collect import ContextCollector
from completion_server.engine.engine import GenerationResult
from completion_server.evaluation.fim_score import FilledHole
from completion_server.evaluation.held_out import read_split
from completion_server.evaluation.paired import mcnemar_p
from completion_server.model import Prompt
from completion_server.service import CompletionService
from completion_server.training import personalise_run
from completion_server.training.error import TrainingError
from completion_server.training.fim_transform import FimRates
from completion_server.training.personalise import Report, compare, split_repository
from completion_server.training.personalise_run import PersonaliseTask, personalise, served_rates
from tests.training.conftest import make_file


def make_repository(root: Path, num_files: int = 24, first: int = 100) -> Path:
    root.mkdir()
    for number in range(num_files):
        file = make_file(first + number)
        path = root / file.path
        path.parent.mkdir(exist_ok=True)
        path.write_text(file.text, encoding="utf-8")
    return root


def test_files_for_the_score_are_never_learned_from(tmp_path: Path) -> None:
    num_train, num_held_out = split_repository(make_repository(tmp_path / "mine"), tmp_path / "corpus")
    train, held_out = (read_split(tmp_path / "corpus", split) for split in ("train", "held-out"))
    assert (len(train), len(held_out)) == (num_train, num_held_out)
    assert num_train > num_held_out >= 2
    assert {file.path for file in train}.isdisjoint(file.path for file in held_out)


def test_too_few_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="at least"):
        split_repository(make_repository(tmp_path / "mine", 3), tmp_path / "corpus")


def test_all_stages_and_going_on_after_a_stop(tiny_model: Path, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "mine")
    task = PersonaliseTask(
        repository, tmp_path / "run", tiny_model, "tiny", num_steps=4, rank=2, num_holes=3, examples_per_step=2
    )
    stages: list[str] = []
    stopped = personalise(
        task, Settings(), lambda trainer: trainer.run(lambda: trainer.state.step >= 2), lambda *_: None
    )
    assert stopped is None
    verdict = personalise(task, Settings(), lambda trainer: trainer.run(), lambda stage, _: stages.append(stage))
    assert verdict is not None
    assert verdict.before.num_holes == verdict.after.num_holes > 0
    assert "reading the repository" not in stages
    written = json.loads((task.directory / "verdict.json").read_text())
    assert written["sentence"] == verdict.sentence
    assert (task.directory / "model" / "model.safetensors").is_file()


def test_both_scores_are_of_the_model_as_it_is_served(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fitted for the model it was made from, and other files of the repository: before and after."""
    repository = make_repository(tmp_path / "mine")
    installed = tmp_path / "installed"
    shutil.copytree(tiny_model, installed)
    write_manifest(installed, Manifest("smollm2-135m", {"kind": "package"}))
    task = PersonaliseTask(
        repository, tmp_path / "run", installed, "smollm2-135m", num_steps=2, rank=2, num_holes=2,
        examples_per_step=2,
    )  # fmt: skip
    has_other_files: dict[str, list[bool]] = {}
    build = personalise_run.build_service

    def build_noting(settings: Settings, report: Report, *, context: ContextCollector) -> CompletionService:
        service = build(settings, report, context=context)
        generate = service._engine.generate

        def generate_noting(prompt: Prompt, *others: Any) -> GenerationResult:
            local = prompt.local_text
            has_some = local is not None and len(local.token_ids) > 100
            has_other_files.setdefault(settings.model.name, []).append(has_some)
            return generate(prompt, *others)

        monkeypatch.setattr(service._engine, "generate", generate_noting)
        return service

    monkeypatch.setattr(personalise_run, "build_service", build_noting)
    assert personalise(task, Settings(), lambda trainer: trainer.run(), lambda *_: None) is not None
    before, after = (has_other_files[str(each)] for each in (installed, task.directory / "model"))
    assert len(before) == len(after)
    assert any(before)
    assert any(after)


def test_snippets_only_where_the_server_shows_them(tiny_model: Path) -> None:
    """The format of the tiny model is that of the model in the box."""
    plain = FimRates(prefix_weight=1.0)
    assert served_rates(tiny_model, Settings()) == plain
    shown = Settings(context=ContextSettings(cross_file="on", max_prompt_tokens=400))
    assert served_rates(tiny_model, shown) == FimRates(prefix_weight=1.0, snippets=0.5, max_snippet_tokens=100)
    assert served_rates(tiny_model, Settings(context=ContextSettings(cross_file="off"))) == plain


def holes(*completions: str) -> list[FilledHole]:
    return [FilledHole("python", "block", "right", completion) for completion in completions]


def test_verdicts() -> None:
    better = compare(holes(*["wrong"] * 12), holes(*["right"] * 12))
    assert better.should_keep
    assert better.sentence == "keep it: 12 holes gained, 0 lost of 12 (p = 0.000, clear)"
    a_little = compare(holes("wrong", "right"), holes("right", "right"))
    assert a_little.should_keep
    assert "not certain" in a_little.sentence
    worse = compare(holes("right", "right"), holes("right", "left"))
    assert not worse.should_keep
    assert worse.sentence == "do not keep it: 0 holes gained, 1 lost of 2"


@pytest.mark.parametrize(("gained", "lost", "p_value"), [(0, 0, 1), (1, 0, 1), (5, 0, 0.0625), (10, 2, 0.0386)])
def test_mcnemar_p(gained: int, lost: int, p_value: float) -> None:
    assert mcnemar_p(gained, lost) == pytest.approx(p_value, abs=1e-4)
    assert mcnemar_p(lost, gained) == pytest.approx(p_value, abs=1e-4)
