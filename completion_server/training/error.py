"""The error of the training package: its message says what is wrong with the input, the files or the run."""

from __future__ import annotations

from completion_server.errors import CompletionServerError


class TrainingError(CompletionServerError):
    """A corpus, a recipe, a checkpoint or a run that cannot be used or go on."""
