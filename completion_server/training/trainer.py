"""The training loop: accumulate, clip, step, validate, save; stops on request, goes on from a checkpoint.

A step is a function of the state before it: the same examples in the same order whether the run was interrupted or
not. Optimizer: AdamW (Loshchilov and Hutter 2017, arXiv 1711.05101).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from completion_server.training.checkpoint import (
    RunState,
    find_checkpoints,
    load_checkpoint,
    remove_old_checkpoints,
    save_checkpoint,
)
from completion_server.training.decoder import Decoder
from completion_server.training.error import TrainingError
from completion_server.training.example_stream import ExampleStream
from completion_server.training.fim_transform import Example
from completion_server.training.packing import pack, split_by_tokens
from completion_server.training.run_log import RunView, StepReport
from completion_server.training.schedule import Schedule

_MAX_BAD_STEPS = 5


@dataclass(frozen=True)
class TrainSettings:
    """Sizes in tokens, times in seconds."""

    schedule: Schedule
    examples_per_step: int = 16
    max_batch_tokens: int = 2048
    """What one forward pass takes; more is accumulated over several."""
    max_gradient_norm: float = 1.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    checkpoint_every_s: float = 600.0
    validate_every: int = 100
    num_kept_checkpoints: int = 2


@dataclass
class Trainer:
    """One run in ``directory``. ``identity`` says what else the weights depend on: model, corpus, recipe."""

    decoder: Decoder
    stream: ExampleStream
    settings: TrainSettings
    directory: Path
    identity: str = ""
    validation: Sequence[Example] = ()
    views: list[RunView] = field(default_factory=list)
    save_more: Callable[[Path], object] = lambda _: None
    """Puts further files into each checkpoint."""

    def __post_init__(self) -> None:
        self.state = RunState()
        self._parameters = self.decoder.trainable()
        self._device = next(iter(self._parameters.values())).device
        self._optimizer = torch.optim.AdamW(
            list(self._parameters.values()),
            lr=0.0,
            betas=self.settings.betas,
            weight_decay=self.settings.weight_decay,
        )
        self._num_bad_steps = 0

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    @property
    def fingerprint(self) -> str:
        """What must be the same for a checkpoint to be continued; the length of the run may differ."""
        settings = self.settings
        facts = (
            self.identity,
            settings.examples_per_step,
            settings.schedule.peak,
            settings.weight_decay,
            settings.betas,
            settings.max_gradient_norm,
            sorted(map(str, self._parameters)),
        )
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def resume(self) -> bool:
        """Go on from the newest checkpoint, if there is one. Raises TrainingError when it cannot be used."""
        found = find_checkpoints(self.checkpoints)
        if not found:
            return False
        self.state = load_checkpoint(found[-1], self._parameters, self._optimizer, self.fingerprint)
        return True

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end or until ``should_stop``; a checkpoint is saved either way. True at the end.

        Raises TrainingError: the loss is not a number several steps in a row, or a checkpoint cannot be written.
        """
        num_steps = self.settings.schedule.num_steps
        saved_at = time.monotonic()
        self._tell("started", step=self.state.step, num_tokens=self.state.num_tokens)
        if self.validation and self.state.step == 0:
            self.validate()
        while self.state.step < num_steps:
            if not self._step(should_stop):
                break
            step = self.state.step
            if self.validation and (step % self.settings.validate_every == 0 or step == num_steps):
                self.validate()
            if time.monotonic() - saved_at >= self.settings.checkpoint_every_s and step < num_steps:
                self.save()
                saved_at = time.monotonic()
        self.save()
        is_done = self.state.step >= num_steps
        self._tell("finished" if is_done else "stopped", step=self.state.step, num_tokens=self.state.num_tokens)
        return is_done

    def save(self) -> Path:
        """Write a checkpoint of the present state."""
        path = save_checkpoint(
            self.checkpoints, self.state, self._parameters, self._optimizer, self.fingerprint, self.save_more
        )
        remove_old_checkpoints(self.checkpoints, self.settings.num_kept_checkpoints)
        self._tell("checkpoint", step=self.state.step, path=str(path))
        return path

    @torch.no_grad()
    def validate(self) -> float:
        """Mean NLL of the validation examples' middles and ends, in nats per token."""
        total, count = 0.0, 0
        for batch_examples in split_by_tokens(self.validation, self.settings.max_batch_tokens):
            batch = pack(batch_examples).to(self._device)
            _, nll = self.decoder(batch)
            total += float(nll[batch.is_middle].sum())
            count += int(batch.is_middle.sum())
        mean = total / max(count, 1)
        self._tell("validation", step=self.state.step, middle_nll=mean)
        return mean

    def _step(self, should_stop: Callable[[], bool]) -> bool:
        """One optimizer step; False when asked to stop before it was done (nothing has changed then)."""
        began = time.monotonic()
        state, settings = self.state, self.settings
        examples = self.stream.examples(state.num_examples, settings.examples_per_step)
        batches = [pack(each) for each in split_by_tokens(examples, settings.max_batch_tokens)]
        total_weight = sum(float(batch.weights.sum()) for batch in batches)
        self._optimizer.zero_grad(set_to_none=True)
        loss, middle_nll, num_middle = 0.0, 0.0, 0
        for batch in batches:
            if should_stop():
                return False
            batch_loss, nll = self.decoder(batch.to(self._device))
            (batch_loss / total_weight).backward()
            loss += float(batch_loss.detach()) / total_weight
            middle_nll += float(nll[batch.is_middle].sum())
            num_middle += int(batch.is_middle.sum())
        rate = settings.schedule.rate(state.step)
        norm = self._apply_gradients(rate, loss)
        num_tokens = sum(batch.num_tokens for batch in batches)
        seconds = time.monotonic() - began
        state.step += 1
        state.num_examples += settings.examples_per_step
        state.num_tokens += num_tokens
        state.elapsed_s += seconds
        mean_middle = middle_nll / num_middle if num_middle else None
        report = StepReport(
            state.step, loss, mean_middle, rate, norm, state.num_tokens, num_tokens / seconds, state.elapsed_s
        )
        for view in self.views:
            view.on_step(report)
        return True

    def _apply_gradients(self, rate: float, loss: float) -> float:
        """Clip and step; a loss or gradient that is not a number leaves the weights alone. The gradient's norm."""
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters.values(), self.settings.max_gradient_norm))
        if not math.isfinite(loss) or not math.isfinite(norm):
            self._num_bad_steps += 1
            self.state.num_skipped_steps += 1
            self._tell("skipped", step=self.state.step, loss=loss, gradient_norm=norm)
            if self._num_bad_steps >= _MAX_BAD_STEPS:
                raise TrainingError(
                    f"the loss was not a number in {_MAX_BAD_STEPS} steps in a row (step {self.state.step}); "
                    "lower the learning rate and go on from the last checkpoint"
                )
            return norm
        self._num_bad_steps = 0
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        return norm

    def _tell(self, kind: str, **facts: object) -> None:
        for view in self.views:
            view.on_event(kind, facts)
