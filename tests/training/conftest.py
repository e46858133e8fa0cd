"""A small corpus and a tiny model, both made in the test session."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from completion_server.evaluation.held_out import MANIFEST_NAME, SourceFile, split_path, write_files
from completion_server.training.adapt import AdaptTask, prepare_adapt
from completion_server.training.fim_transform import FimRates
from completion_server.training.pretrain import ModelShape, PretrainTask, prepare_pretrain
from completion_server.training.schedule import Schedule
from completion_server.training.trainer import TrainSettings

_NAMES = ("alpha", "beta", "gamma", "delta", "width", "height", "total", "count", "index", "value")
TINY = ModelShape(
    vocab_size=512,
    hidden_size=32,
    intermediate_size=64,
    num_layers=2,
    num_heads=2,
    num_kv_heads=1,
    max_context=512,
)


class LargestWindows(random.Random):
    """Draws as serving does: the largest windows, and prefix and middle in one piece where that has a share."""

    def __init__(self) -> None:
        super().__init__(0)

    def random(self) -> float:
        return 0.5

    def randint(self, _low: int, high: int) -> int:
        return high

    def uniform(self, _low: float, high: float) -> float:
        return high


def make_file(number: int) -> SourceFile:
    """A Python file of a few functions that resemble each other."""
    rng = random.Random(number)
    functions = []
    for _ in range(6):
        name, first, second = rng.sample(_NAMES, 3)
        functions.append(
            f"def {name}_of({first}, {second}):\n"
            f'    """The {name} of {first} and {second}."""\n'
            f"    if {first} > {second}:\n"
            f"        {name} = {first} - {second}\n"
            f"        return {name}\n"
            f"    return {first} + {second}\n"
        )
    return SourceFile(f"repo{number}", f"src/file{number}.py", "python", "\n\n".join(functions))


def make_corpus(directory: Path) -> Path:
    """A corpus directory with all three splits."""
    directory.mkdir(parents=True)
    for split, numbers in {"train": range(20), "validation": range(20, 23), "held-out": range(23, 26)}.items():
        write_files(split_path(directory, split), [make_file(number) for number in numbers])
    (directory / MANIFEST_NAME).write_text('{"seed": 0, "language_shares": {}, "sources": []}', encoding="utf-8")
    return directory


def tiny_settings(num_steps: int, **changes: object) -> TrainSettings:
    """Few examples a step; no checkpoint or validation but at the end, unless ``changes`` say so."""
    values: dict[str, object] = {
        "schedule": Schedule(3e-3, num_steps, min(3, num_steps)),
        "examples_per_step": 4,
        "max_batch_tokens": 400,
        "validate_every": 1000,
    }
    return TrainSettings(**(values | changes))  # type: ignore[arg-type]


def make_task(model: Path, corpus: Path, directory: Path, num_steps: int = 6, **changes: object) -> AdaptTask:
    settings = tiny_settings(num_steps)
    values: dict[str, object] = {
        "rank": 2,
        "num_validation": 2,
        "dtype": "float32",
        "rates": FimRates(max_tokens=128),
    }
    return AdaptTask(model, corpus, directory, settings, **(values | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("data") / "corpus")


@pytest.fixture(scope="session")
def tiny_model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory trained for some seconds."""
    task = PretrainTask(corpus, tmp_path_factory.mktemp("pretrained"), tiny_settings(60), TINY)
    trainer, write = prepare_pretrain(task)
    assert trainer.run()
    return write()


@pytest.fixture(scope="session")
def first_stage(tiny_model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is done."""
    trainer = prepare_adapt(make_task(tiny_model, corpus, tmp_path_factory.mktemp("first") / "run", 2))
    assert trainer.run()
    return trainer.directory
