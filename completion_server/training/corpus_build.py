"""Builds a corpus directory from a recipe: one JSON-lines file per split, and a manifest of what is in it."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from completion_server.evaluation.held_out import MANIFEST_NAME, SourceFile, split_path, write_files
from completion_server.training.corpus_dedup import NearDuplicates
from completion_server.training.corpus_fetch import FetchedSource, RunClient, fetch_source, run_client
from completion_server.training.corpus_files import read_tree
from completion_server.training.corpus_recipe import CorpusRecipe
from completion_server.training.error import TrainingError

_ORDER = ("held-out", "validation", "train")
"""What is like a file seen before is dropped: training gives way to the files that it will be judged by."""

Report = Callable[[str, int, int], None]
"""``report(what, done, total)``."""


@dataclass(frozen=True)
class CorpusSummary:
    """``num_chars``: language -> characters, per split; ``left_out``: source -> why."""

    num_files: dict[str, int]
    num_chars: dict[str, dict[str, int]]
    left_out: dict[str, str]


def build_corpus(
    recipe: CorpusRecipe, directory: Path, report: Report = lambda *_: None, run: RunClient = run_client
) -> CorpusSummary:
    """Fetch, filter, de-duplicate and split; write into ``directory`` (created, replaced when all is there).

    A source that cannot be had or used is left out and said so in the manifest. Raises TrainingError when nothing
    is left.
    """
    duplicates = NearDuplicates()
    ordered = sorted(recipe.sources, key=lambda source: _ORDER.index(source.chosen_split(recipe.seed)))
    files: dict[str, list[SourceFile]] = {split: [] for split in _ORDER}
    records: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for number, source in enumerate(ordered):
        report(source.key, number, len(ordered))
        split = source.chosen_split(recipe.seed)
        with tempfile.TemporaryDirectory() as scratch:
            try:
                fetched = fetch_source(source, Path(scratch) / "source", run)
            except TrainingError as error:
                left_out[source.key] = str(error)
                continue
            taken = list(_take_files(fetched, recipe, duplicates))
        files[split] += taken
        records.append(_record(fetched, split, taken))
    if not any(files.values()):
        raise TrainingError(
            f"no usable file in any source; the first reason: {next(iter(left_out.values()), '-')}"
        )
    _write(directory, files, {"seed": recipe.seed, "language_shares": dict(recipe.language_shares),
                              "sources": records, "left_out": left_out})  # fmt: skip
    return CorpusSummary(
        {split: len(of_split) for split, of_split in files.items()},
        {split: dict(_count_chars(of_split)) for split, of_split in files.items()},
        left_out,
    )


def _take_files(fetched: FetchedSource, recipe: CorpusRecipe, duplicates: NearDuplicates) -> Iterator[SourceFile]:
    """Files in an order that depends on the seed only, until the repository's share is full."""
    found = [each for each in read_tree(fetched.root) if fetched.allows(each.path)]
    random.Random(f"{recipe.seed} {fetched.source.key}").shuffle(found)
    num_chars = 0
    for each in found:
        if num_chars >= recipe.max_chars_per_repository:
            return
        if duplicates.is_new(each.text):
            num_chars += len(each.text)
            yield SourceFile(fetched.source.key, each.path, each.language, each.text)


def _record(fetched: FetchedSource, split: str, taken: list[SourceFile]) -> dict[str, Any]:
    return {
        "source": fetched.source.key,
        "version": fetched.version,
        "licence": fetched.licence,
        "sha256": fetched.sha256,
        "split": split,
        "num_files": len(taken),
        "num_chars": dict(_count_chars(taken)),
    }


def _count_chars(files: list[SourceFile]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for file in files:
        counts[file.language] += len(file.text)
    return counts


def _write(directory: Path, files: dict[str, list[SourceFile]], manifest: dict[str, Any]) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = directory.with_name(directory.name + ".incomplete")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    for split, of_split in files.items():
        write_files(split_path(staging, split), of_split)
    (staging / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(directory, ignore_errors=True)
    staging.rename(directory)
