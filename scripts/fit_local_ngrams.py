"""Fit the weight of the n-gram model of the text at hand (``engine.local_ngrams``) to files of a corpus.

usage: python scripts/fit_local_ngrams.py CORPUS [--holes 150] [--cross-file 130] [--split validation] [--seed 0]

In holes of every kind, and in holes that need another file's name, the middles are read token by token as the
model in the settings would have to write them. The coefficients are those under which both models together find
them least surprising. The last line of stdout is one JSON object: the coefficients, and nats per token of the
model alone and of the mixture, the latter in holes that the coefficients were not fitted to (five parts).
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from completion_server.bootstrap import cache_dir_of, load_engine_from_directory, prompts_for, resolve
from completion_server.config import Settings, load_settings
from completion_server.context.collect import ContextCollector
from completion_server.cross_file import CrossFile
from completion_server.engine.engine import Engine
from completion_server.engine.healing import choose_start, healing_or_none
from completion_server.engine.local_ngrams import LocalNgrams
from completion_server.engine.sampling import log_sum_exp
from completion_server.evaluation.cross_file_holes import by_workspace, make_cross_file_tasks
from completion_server.evaluation.fim_infill import make_tasks
from completion_server.evaluation.fim_spans import Hole
from completion_server.evaluation.held_out import read_split
from completion_server.evaluation.workspaces import index_workspace
from completion_server.model import Prompt
from completion_server.prompt.build import PromptBuilder
from completion_server.request import WorkspaceView
from completion_server.tokenizer import Tokenizer

_MAX_MIDDLE_TOKENS = 64
_NUM_PARTS = 5
_RIDGE = 1e-3
Rows = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reader:
    """Reads middles as serving would write them."""

    engine: Engine
    prompts: PromptBuilder
    tokenizer: Tokenizer
    settings: Settings
    cross_file: CrossFile

    def rows(self, hole: Hole, workspace: WorkspaceView) -> Iterator[tuple[float, ...]]:
        """For each token that something votes on: the vote's features, its and the model's probability of it."""
        context = self.cross_file.collect(hole.document, hole.position, workspace)
        prompt = self.prompts.build(hole.document, hole.position, self.settings, _MAX_MIDDLE_TOKENS, "", context)
        assert prompt.local_text is not None
        ngrams, logits, middle = self._read(prompt, hole.middle)
        for number, token_id in enumerate(middle):
            vote = ngrams.vote() if number else None  # healing lets only some tokens come first
            if vote is not None:
                logprobs = logits[number] - log_sum_exp(logits[number])
                voted = float(vote.probabilities[vote.token_ids == token_id].sum())
                yield *vote.features(math.exp(logprobs.max())), voted, math.exp(logprobs[token_id])
            ngrams.append(token_id)

    def _read(self, prompt: Prompt, middle: str) -> tuple[LocalNgrams, Rows, list[int]]:
        """The place where writing starts, logits (T, V) before each token of the middle, and these tokens."""
        healing = healing_or_none(prompt.healing)
        path = prompt.token_ids + healing.path_token_ids
        self.engine.clear()
        with self.engine.prefix_cache.acquire(path) as sequence:
            start = choose_start(sequence.feed(path, len(healing.path_token_ids) + 1), healing)
            sequence.truncate(prompt.num_prompt_tokens + start.step.num_path_tokens)
            token_ids = self.tokenizer.encode(start.step.remaining.decode("utf-8", "replace") + middle)
            token_ids = token_ids[:_MAX_MIDDLE_TOKENS]
            logits = np.concatenate([start.logits[np.newaxis], sequence.feed(token_ids, len(token_ids))])
        assert prompt.local_text is not None
        kept = healing.path_token_ids[: start.step.num_path_tokens]
        return LocalNgrams(prompt.local_text, kept), logits, token_ids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--holes", type=int, default=150)
    parser.add_argument("--cross-file", type=int, default=130)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    settings = load_settings(None, None).settings
    settings = replace(settings, context=replace(settings.context, local_ngrams="on"))
    collector = ContextCollector(runs_in_background=False)
    reader = make_reader(settings, collector)
    files = read_split(arguments.corpus, arguments.split)
    holes: list[Rows] = []
    for task in make_tasks(files, arguments.holes, arguments.seed):
        holes.append(np.array(list(reader.rows(task.hole, WorkspaceView()))))
    with tempfile.TemporaryDirectory() as directory:
        root, count = Path(directory).resolve(), arguments.cross_file
        for cross in by_workspace(make_cross_file_tasks(files, root, count, arguments.seed)):
            view = index_workspace(collector, cross.hole, cross.root)
            holes.append(np.array(list(reader.rows(cross.hole, view))))
    holes = [rows for rows in holes if len(rows)]
    report = {"fit": "local-ngrams", "model": settings.model.name, "num_holes": len(holes)}
    print(json.dumps(report | figures(holes)))


def make_reader(settings: Settings, collector: ContextCollector) -> Reader:
    resolved = resolve(settings, lambda *_: None)
    loaded = load_engine_from_directory(resolved.path, settings, cache_dir_of(settings.model), lambda *_: None)
    prompts, _ = prompts_for(loaded, settings, resolved.fim_format)
    cross_file = CrossFile(collector, prompts, settings)
    return Reader(loaded.engine, prompts, loaded.tokenizer, settings, cross_file)


def figures(holes: list[Rows]) -> dict[str, object]:
    """Coefficients of all, and the surprise of each part under those of the others."""
    alone, mixed = [], []
    for part in range(_NUM_PARTS):
        weights = fit(np.concatenate([rows for number, rows in enumerate(holes) if number % _NUM_PARTS != part]))
        for rows in holes[part::_NUM_PARTS]:
            alone += list(-np.log(rows[:, -1] + 1e-12))
            mixed += list(surprise(rows, weights))
    weights = fit(np.concatenate(holes))
    return {
        "weights": [round(float(weight), 2) for weight in weights],
        "num_tokens": len(alone),
        "nats_alone": round(float(np.mean(alone)), 4),
        "nats_mixed": round(float(np.mean(mixed)), 4),
    }


def surprise(rows: Rows, weights: Rows) -> Rows:
    share = 1 / (1 + np.exp(-rows[:, :-2] @ weights))
    found: Rows = -np.log((1 - share) * rows[:, -1] + share * rows[:, -2] + 1e-12)
    return found


def fit(rows: Rows) -> Rows:
    """Gradient descent by L-BFGS on the mean surprise, with a small ridge on all but the bias."""
    import torch

    features, voted, own = (torch.from_numpy(rows[:, part]) for part in (slice(-2), -2, -1))
    weights = torch.zeros(features.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        share = torch.sigmoid(features @ weights)
        value = -torch.log((1 - share) * own + share * voted + 1e-12).mean() + _RIDGE * (weights[1:] ** 2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    result: Rows = weights.detach().numpy()
    return result


if __name__ == "__main__":
    main()
