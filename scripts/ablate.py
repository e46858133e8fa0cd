"""Ablations of the adapter's recipe: short runs that differ in one thing, scored on the same held-out holes.

Every arm sees the same number of steps from the same seed. Scored is the middle in its two tokenizations (apart
from the prefix, and in one piece with it, as token healing asks), in nats per character of the same middles:
so arms which cut text differently can be compared. Lower is better. The spread is the standard error of the mean
difference to the first arm over the holes. Ends in one JSON line; an arm that has a result is not run again.

usage: python scripts/ablate.py CORPUS DIRECTORY [--steps N] [--arms recipe,rank-4,...] [--threads N]
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from completion_server.bootstrap import resolve
from completion_server.config import ModelSettings, Settings
from completion_server.evaluation.fim_infill import make_tasks
from completion_server.evaluation.held_out import read_manifest, read_split
from completion_server.prompt import fim_table
from completion_server.prompt.fim import PromptOrder, detect_fim_format
from completion_server.training.adapt import TOKENIZER_NAME, AdaptTask, prepare_adapt, prepare_tokenizer
from completion_server.training.decoder import Decoder
from completion_server.training.example_stream import ExampleStream
from completion_server.training.fim_transform import Example, FimRates, FimTransform
from completion_server.training.packing import pack, split_by_tokens
from completion_server.training.schedule import Schedule
from completion_server.training.trainer import TrainSettings

BASE = "smollm2-135m-base"
NUM_SCORED = 96
MAX_BATCH_TOKENS = 2048
_PSM = replace(
    fim_table.SPM,
    psm=("prefix", "suffix_token", "suffix", "middle_token"),
    default_order=PromptOrder.PSM,
    spm=None,
    trained_orders=(PromptOrder.PSM,),
)


@dataclass(frozen=True)
class Arm:
    """What differs from the recipe."""

    rank: int = 16
    rates: FimRates = field(default_factory=FimRates)
    is_psm: bool = False
    shares: Mapping[str, float] | None = None


ARMS: Mapping[str, Arm] = {
    "recipe": Arm(),
    "rank-4": Arm(rank=4),
    "rank-64": Arm(rank=64),
    "apart": Arm(rates=FimRates(joint=0.0)),
    "joint": Arm(rates=FimRates(joint=1.0)),
    "no-prefix-loss": Arm(rates=FimRates(prefix_weight=0.0)),
    "full-prefix-loss": Arm(rates=FimRates(prefix_weight=1.0)),
    "psm": Arm(rates=FimRates(joint=0.0, psm=1.0), is_psm=True),
    "python-only": Arm(shares={"python": 1.0}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--model", default=BASE)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    model = resolve(Settings(model=ModelSettings(name=options.model)), lambda *_: None).path
    scores: dict[str, dict[str, Any]] = {}
    for name in options.arms.split(","):
        kept = options.directory / f"{name}-{options.steps}.json"
        if not kept.is_file():
            print(f"{name}: training", file=sys.stderr, flush=True)
            result = run_arm(ARMS[name], model, options.corpus, options.directory / name, options.steps)
            kept.write_text(json.dumps(result) + "\n", encoding="utf-8")
        scores[name] = json.loads(kept.read_text(encoding="utf-8"))
    print(json.dumps({"ablation": options.steps, "arms": summary(scores)}))


def run_arm(arm: Arm, model: Path, corpus: Path, directory: Path, steps: int) -> dict[str, Any]:
    """Train and score one arm; per hole the nats per character in both tokenizations."""
    schedule = Schedule(1e-3, steps, max(steps // 8, 1), "wsd", steps - steps // 4)
    task = AdaptTask(
        model, corpus, directory, TrainSettings(schedule), arm.rates, arm.rank, 2.0 * arm.rank, num_validation=0,
        base_name=BASE,
    )  # fmt: skip
    trainer = prepare_adapt(task)
    tokenizer, facts = prepare_tokenizer(model, directory / TOKENIZER_NAME, BASE)
    format_ = _PSM if arm.is_psm else detect_fim_format(tokenizer, facts.fim_format).format
    if arm.is_psm or arm.shares:
        shares = arm.shares or read_manifest(corpus).get("language_shares", {})
        files = [file for file in read_split(corpus, "train") if shares.get(file.language, 0.0)]
        trainer.stream = ExampleStream(files, FimTransform(tokenizer, format_, arm.rates), task.seed, shares)
    trainer.run()
    result: dict[str, Any] = {"num_tokens": trainer.state.num_tokens, "seconds": trainer.state.elapsed_s}
    for kind, joint in (("apart", 0.0), ("joint", 1.0)):
        if not (arm.is_psm and joint):
            rates = replace(FimRates(plain=0.0, no_middle=0.0), joint=joint)
            result[kind] = score(trainer.decoder, corpus, FimTransform(tokenizer, format_, rates))
    return result


def score(decoder: Decoder, corpus: Path, transform: FimTransform) -> list[float]:
    """Nats per character of the middle and its end, for the same holes whatever ``transform`` makes of them."""
    num_chars: list[int] = []
    examples = _examples(corpus, transform, num_chars.append)
    nats: list[float] = []
    with torch.no_grad():
        for batch_examples in split_by_tokens(examples, MAX_BATCH_TOKENS):
            batch = pack(batch_examples)
            _, nll = decoder(batch)
            ends = [0]
            for example in batch_examples:
                ends.append(ends[-1] + sum(1 for weight in example.weights[1:] if weight))
            for start, end in itertools.pairwise(ends):
                is_middle = batch.is_middle[start:end]
                nats.append(float(nll[start:end][is_middle].sum()))
    return [total / count for total, count in zip(nats, num_chars, strict=True)]


def _examples(corpus: Path, transform: FimTransform, note: Callable[[int], object]) -> list[Example]:
    """The same holes and windows for every transform: its random choices do not move the stream's."""
    examples = []
    for number, task in enumerate(make_tasks(read_split(corpus, "held-out"), NUM_SCORED // 3, seed=7)):
        example = transform.infill(task.hole, random.Random(number))
        if example is not None:
            examples.append(example)
            note(len(task.hole.middle) + 1)
    return examples


def summary(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Means, and the difference to the first arm with its standard error."""
    first = next(iter(scores.values()))
    result: dict[str, Any] = {}
    for name, each in scores.items():
        row: dict[str, Any] = {"num_tokens": each["num_tokens"], "seconds": round(each["seconds"])}
        for kind in ("apart", "joint"):
            if kind in each:
                gaps = [mine - base for mine, base in zip(each[kind], first[kind], strict=True)]
                row[kind] = round(statistics.mean(each[kind]), 4)
                row[f"{kind}_difference"] = round(statistics.mean(gaps), 4)
                row[f"{kind}_error"] = round(statistics.stdev(gaps) / math.sqrt(len(gaps)), 4)
        result[name] = row
    return result


if __name__ == "__main__":
    main()
