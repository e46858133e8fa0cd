"""The stages of ``train personalise``: keep files apart, score, learn, merge, score again, decide."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from completion_server.backends.loading import read_config
from completion_server.bootstrap import build_service
from completion_server.config import RemoteSettings, Settings
from completion_server.context.collect import ContextCollector
from completion_server.cross_file import snippet_budget
from completion_server.evaluation.fim_infill import with_nothing_hidden
from completion_server.evaluation.fim_score import FilledHole
from completion_server.prompt.build import ModelFacts, PromptBuilder
from completion_server.tokenizer import Tokenizer
from completion_server.training.adapt import AdaptTask, prepare_adapt
from completion_server.training.checkpoint import find_checkpoints
from completion_server.training.error import TrainingError
from completion_server.training.export import merge_adapter
from completion_server.training.fim_transform import FimRates
from completion_server.training.personalise import Report, Verdict, compare, score_on_held_out, split_repository
from completion_server.training.schedule import Schedule
from completion_server.training.trainer import Trainer, TrainSettings

CORPUS_NAME, MODEL_NAME, VERDICT_NAME, BEFORE_NAME = "corpus", "model", "verdict.json", "before.json"

_PREFIX_WEIGHT = 1.0
"""The format is known already: what is new is the repository's code, and the prefix has most of it."""
_SNIPPET_SHARE = 0.5
"""Where the server shows snippets. The rest keeps what the model does in files that import nothing."""


@dataclass(frozen=True)
class PersonaliseTask:
    """What to learn, from which model, where; ``num_holes`` of each kind are scored."""

    repository: Path
    directory: Path
    model: Path
    model_name: str
    num_steps: int = 120
    rate: float = 2e-3
    rank: int = 16
    num_holes: int = 60
    seed: int = 0
    examples_per_step: int = 16


def personalise(
    task: PersonaliseTask, settings: Settings, train: Callable[[Trainer], bool], report: Report
) -> Verdict | None:
    """All stages; None when ``train`` was stopped before its end (the next call goes on there).

    Raises TrainingError: too few files, or the model knows no fill-in-the-middle format.
    """
    corpus = task.directory / CORPUS_NAME
    if not corpus.is_dir():
        report("reading the repository", None)
        split_repository(task.repository, corpus)
    before_path = task.directory / BEFORE_NAME
    if not before_path.is_file():
        before_path.write_text(json.dumps([asdict(hole) for hole in _score(task, task.model, settings, report)]))
    before = [FilledHole(**raw) for raw in json.loads(before_path.read_text(encoding="utf-8"))]
    report("starting to learn", None)
    trainer = prepare_adapt(_adapt_task(task, corpus, served_rates(task.model, settings)))
    if not train(trainer):
        return None
    merged = task.directory / MODEL_NAME
    found = find_checkpoints(trainer.checkpoints)
    if not found:
        raise TrainingError(f"{task.directory} has no checkpoint")
    merge_adapter(task.model, found[-1], merged)
    verdict = compare(before, _score(task, merged, settings, report))
    text = json.dumps(
        {**asdict(verdict), "should_keep": verdict.should_keep, "sentence": verdict.sentence}, indent=1
    )
    (task.directory / VERDICT_NAME).write_text(text + "\n", encoding="utf-8")
    return verdict


def served_rates(model: Path, settings: Settings) -> FimRates:
    """Examples with snippets of other files only where the server shows them for ``model`` with ``settings``."""
    facts = ModelFacts(read_config(model).get("model_type"))
    if not PromptBuilder(Tokenizer.from_directory(model), facts).shows_snippets(settings):
        return FimRates(prefix_weight=_PREFIX_WEIGHT)
    max_tokens = snippet_budget(settings)
    return FimRates(prefix_weight=_PREFIX_WEIGHT, snippets=_SNIPPET_SHARE, max_snippet_tokens=max_tokens)


def _adapt_task(task: PersonaliseTask, corpus: Path, rates: FimRates) -> AdaptTask:
    num_warmup = min(10, task.num_steps // 5)
    schedule = Schedule(task.rate, task.num_steps, num_warmup, "linear")
    settings = TrainSettings(schedule, examples_per_step=task.examples_per_step)
    return AdaptTask(
        task.model, corpus, task.directory, settings, rates, rank=task.rank, alpha=2.0 * task.rank, seed=task.seed,
        num_validation=0, base_name=task.model_name,
    )  # fmt: skip


def _score(task: PersonaliseTask, model: Path, settings: Settings, report: Report) -> list[FilledHole]:
    own_model = msgspec.structs.replace(settings.model, name=str(model), fim_format="auto")
    own = msgspec.structs.replace(with_nothing_hidden(settings), model=own_model, remote=RemoteSettings())
    collector = ContextCollector(runs_in_background=False)
    service = build_service(own, report, context=collector)
    corpus = task.directory / CORPUS_NAME
    return score_on_held_out(service, collector, corpus, task.repository, task.num_holes, report)
