"""Ends a run early: a short decay of the learning rate from its last checkpoint gives an adapter that is ready.

The run itself is left as it is and can go on afterwards (WSD, arXiv 2404.06395).
"""

from __future__ import annotations

import shutil
from dataclasses import replace

from completion_server.training.adapt import AdaptTask, prepare_adapt
from completion_server.training.checkpoint import find_checkpoints
from completion_server.training.earlier_stage import RUN_NAME
from completion_server.training.error import TrainingError
from completion_server.training.schedule import Schedule
from completion_server.training.trainer import Trainer


def prepare_finish(task: AdaptTask, num_steps: int) -> Trainer:
    """A run beside that of ``task``, from its last checkpoint on, whose rate falls to 0 in ``num_steps``.

    Goes on where it was if it was begun before from the same checkpoint. TrainingError without a checkpoint, or
    when the rate of the run falls all along: it comes to its end by itself.
    """
    if task.settings.schedule.kind not in ("wsd", "constant"):
        raise TrainingError(f"the schedule {task.settings.schedule.kind} has no steady rate to finish from")
    found = find_checkpoints(task.directory / "checkpoints")
    if not found:
        raise TrainingError(f"{task.directory} has no checkpoint yet: there is nothing to finish")
    start = found[-1]
    first_step = int(start.name.removeprefix("step-"))
    directory = task.directory / f"finish-{first_step:08d}"
    copied = directory / "checkpoints" / start.name
    if not find_checkpoints(directory / "checkpoints"):
        shutil.copytree(start, copied, dirs_exist_ok=True)
        shutil.copy(task.directory / RUN_NAME, directory)  # says which type the run computes in
    old = task.settings.schedule
    schedule = Schedule(old.peak, first_step + num_steps, old.num_warmup_steps, "wsd", first_step)
    settings = replace(task.settings, schedule=schedule)
    return prepare_adapt(replace(task, directory=directory, settings=settings))
