"""``train personalise``: an adapter for the user's own repository, and whether it is worth keeping.

Some files are kept apart and never learned from; the score on holes in them, before and after, decides.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from completion_server.context.collect import ContextCollector
from completion_server.evaluation.fim_infill import Completer, make_tasks
from completion_server.evaluation.fim_score import FilledHole, Score, num_only_exact, score
from completion_server.evaluation.held_out import MANIFEST_NAME, SourceFile, read_split, split_path, write_files
from completion_server.evaluation.paired import mcnemar_p
from completion_server.evaluation.workspaces import fill_in_workspaces
from completion_server.training.corpus_dedup import NearDuplicates
from completion_server.training.corpus_files import read_tree
from completion_server.training.error import TrainingError

_HELD_OUT_PERCENT = 15
_MIN_FILES = 8
_MIN_HELD_OUT = 2
_SURE = 0.05
Report = Callable[[str, "float | None"], None]


@dataclass(frozen=True)
class Verdict:
    """``p_value``: how often chance alone would favour one model so much (sign test on the holes that differ)."""

    before: Score
    after: Score
    num_gained: int
    num_lost: int
    p_value: float

    @property
    def should_keep(self) -> bool:
        """More holes right, and more like what was there."""
        return self.num_gained > self.num_lost and self.after.edit_similarity >= self.before.edit_similarity

    @property
    def sentence(self) -> str:
        """The verdict for the user."""
        counts = f"{self.num_gained} holes gained, {self.num_lost} lost of {self.before.num_holes}"
        if not self.should_keep:
            return f"do not keep it: {counts}"
        sureness = "clear" if self.p_value < _SURE else "likely, not certain: try more steps or more files"
        return f"keep it: {counts} (p = {self.p_value:.3f}, {sureness})"


def split_repository(root: Path, directory: Path) -> tuple[int, int]:
    """Make a corpus of the repository ``root`` in ``directory``: files learned from, and files for the score.

    A file's place depends on its path only. Returns how many there are of each. Raises TrainingError when there
    are too few.
    """
    duplicates = NearDuplicates()
    found = sorted((each for each in read_tree(root)), key=lambda each: not _is_held_out(each.path))
    files = [
        SourceFile(root.name, each.path, each.language, each.text)
        for each in found
        if duplicates.is_new(each.text)
    ]
    held_out = [file for file in files if _is_held_out(file.path)]
    train = [file for file in files if not _is_held_out(file.path)]
    if len(files) < _MIN_FILES or len(held_out) < _MIN_HELD_OUT or not train:
        raise TrainingError(
            f"{root} has {len(files)} usable source files; at least {_MIN_FILES} are needed to learn and to check"
        )
    directory.mkdir(parents=True, exist_ok=True)
    for split, of_split in {"train": train, "held-out": held_out, "validation": held_out[:0]}.items():
        write_files(split_path(directory, split), of_split)
    manifest: dict[str, Any] = {"sources": [{"source": f"directory:{root.name}", "licence": "the user's own"}]}
    manifest["hash"] = hashlib.sha256("".join(file.text for file in train).encode("utf-8", "replace")).hexdigest()
    (directory / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return len(train), len(held_out)


def score_on_held_out(
    service: Completer,
    collector: ContextCollector,
    corpus: Path,
    root: Path,
    num_per_kind: int,
    report: Report = lambda *_: None,
) -> list[FilledHole]:
    """Fill the same holes each time, through the service, in the workspace that the repository ``root`` is.

    ``collector``, without a background, is the context of ``service``. Raises TrainingError where no hole can be
    cut.
    """
    tasks = make_tasks(read_split(corpus, "held-out"), num_per_kind)
    if not tasks:
        raise TrainingError(f"no hole can be cut into the files kept apart in {corpus}")
    filled = []
    roots = {task.repository: root.resolve() for task in tasks}
    for number, hole in enumerate(fill_in_workspaces(service, collector, tasks, roots), 1):
        filled.append(hole)
        report("filling holes in files it never saw", number / len(tasks))
    return filled


def compare(before: list[FilledHole], after: list[FilledHole]) -> Verdict:
    """Both lists are of the same holes."""
    num_gained, num_lost = num_only_exact(after, before), num_only_exact(before, after)
    return Verdict(score(before), score(after), num_gained, num_lost, mcnemar_p(num_gained, num_lost))


def _is_held_out(path: str) -> bool:
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "big") % 100 < _HELD_OUT_PERCENT
