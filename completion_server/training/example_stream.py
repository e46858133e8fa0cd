"""The order in which examples come: each is a function of the seed and its number, so a run resumes at any."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import accumulate

from completion_server.evaluation.held_out import SourceFile
from completion_server.training.error import TrainingError
from completion_server.training.fim_transform import Example, FimTransform

_MAX_TRIES = 50


class ExampleStream:
    """Draws with replacement: first a language by its share, then a file by the square root of its length."""

    def __init__(
        self,
        files: Sequence[SourceFile],
        transform: FimTransform,
        seed: int,
        language_shares: Mapping[str, float] | None = None,
    ) -> None:
        """``language_shares`` are relative; a language without one counts by its characters. TrainingError without
        files."""
        if not files:
            raise TrainingError("there is no file to learn from")
        by_language: dict[str, list[SourceFile]] = {}
        for file in files:
            by_language.setdefault(file.language, []).append(file)
        num_chars = sum(len(file.text) for file in files)
        stated = language_shares or {}
        self._languages = list(by_language)
        self._shares = [
            stated.get(name, 0.0) if stated else sum(len(file.text) for file in of_language) / num_chars
            for name, of_language in by_language.items()
        ]
        if not sum(self._shares):
            raise TrainingError("no language of these files has a share")
        self._files = by_language
        self._weights = {
            name: list(accumulate(len(file.text) ** 0.5 for file in of_language))
            for name, of_language in by_language.items()
        }
        self._transform = transform
        self._seed = seed

    def example(self, number: int) -> Example:
        """Example ``number``, the same each time. Raises TrainingError where no file yields one."""
        rng = random.Random(f"{self._seed} {number}")
        for _ in range(_MAX_TRIES):
            language = rng.choices(self._languages, self._shares)[0]
            file = rng.choices(self._files[language], cum_weights=self._weights[language])[0]
            example = self._transform.example(file, rng)
            if example is not None and len(example.token_ids) > 1 and any(example.weights):
                return example
        raise TrainingError("no example could be made: the files are too short, or the sizes too small")

    def examples(self, first: int, count: int) -> list[Example]:
        return [self.example(number) for number in range(first, first + count)]
