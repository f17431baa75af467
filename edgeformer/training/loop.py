"""The training loop: a student learns from its teacher, step by step, and can go on after a kill as if there was none.

All that a step depends on is in ``_Progress``, the weights, and the optimizer's state; the order of rows follows from
the seed and the epoch. So a checkpoint of these three gives, with equal threads, bit-equal results.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from ..data.batching import Batch, make_batch
from ..data.encoded import EncodedSamples
from ..errors import InputError
from ..model.base import Model
from ..tasks import get_task
from .blocks import Pairs, block_outputs
from .checkpoint import Checkpoint, Checkpoints, Tensors
from .distillation import feature_loss
from .schedule import epoch_batches, learning_rate_factor
from .settings import TrainingSettings
from .teacher import Teacher
from .validation import Score, Validation

_PROGRESS_SECONDS = 5.0
_LEAST_SHARE_OF_ZEROS = 0.1


@dataclass(frozen=True)
class Lessons:
    """What is learned: rows, the teacher, pairs of (student block, teacher block), and what judges the result."""

    samples: EncodedSamples
    teacher: Teacher
    blocks: Pairs
    validation: Validation | None = None


@dataclass(frozen=True)
class Trained:
    """The best weights by parameter name; None when no epoch was better than the student as it was given.

    ``history`` has an entry an epoch, the first (epoch 0) before training. ``stopped`` is "epochs", "patience" or
    "minutes".
    """

    parameters: Tensors | None
    best_epoch: int
    history: tuple[Mapping[str, Any], ...]
    stopped: str
    steps: int
    seconds: float  # of all runs that a resumed training took, validation included


@dataclass
class _Progress:
    """Where a training is; plain JSON data."""

    epoch: int = 1
    position: int = 0  # batches of this epoch that are done
    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)  # of losses in this epoch
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0


class Training:
    """One training of a copy of ``student``, which itself stays as it is.

    ``began`` is the time.monotonic() that seconds count from, now by default.
    """

    def __init__(
        self,
        student: Model,
        lessons: Lessons,
        settings: TrainingSettings,
        *,
        seed: int = 0,
        checkpoints: Checkpoints | None = None,
        progress: Callable[[str], None] = lambda message: None,
        began: float | None = None,
    ) -> None:
        self._student = student.with_module(student.copy_module().eval())
        self._module = self._student.callable_module()
        self._lessons, self._settings, self._seed = lessons, settings, seed
        self._checkpoints, self._say = checkpoints, progress
        self._parameters = {
            name: parameter.requires_grad_(True)
            for name, parameter in self._student.module.named_parameters()
            if parameter.is_floating_point()
        }
        self._optimizer = _optimizer(self._parameters.values(), settings)
        self._zeros = _zeros(self._parameters) if settings.keep_zeros else {}
        self._lengths = [student.signature.row_length(row) for row in lessons.samples.feeds]
        self._at = _Progress()
        self._best: Tensors | None = None
        self._began = time.monotonic() if began is None else began
        self._loop_began = self._said = time.monotonic()
        self._loop_began_at_step = 0

    def run(self) -> Trained:
        """Train until epochs, patience or minutes are over.

        Raises:
            InputError: the loss or a gradient is NaN or infinite, naming the step.
        """
        checkpoint = self._checkpoints.load() if self._checkpoints else None
        if checkpoint is not None:
            self._restore(checkpoint)
        else:
            self._at.history.append({"epoch": 0, **self._scored()})
        self._loop_began, self._loop_began_at_step = time.monotonic(), self._at.steps
        while (stopped := self._stopped()) is None:
            self._epoch()
        return Trained(
            self._best, self._at.best_epoch, tuple(self._at.history), stopped, self._at.steps, self._seconds()
        )

    def _epoch(self) -> None:
        """The rest of the present epoch, and its validation."""
        size = self._settings.batch_size
        batches = epoch_batches(self._lengths, size, self._seed, self._at.epoch)
        while self._at.position < len(batches) and not self._out_of_time():
            self._step(make_batch(self._student, self._lessons.samples, batches[self._at.position]), len(batches))
            self._at.position += 1
            self._at.steps += 1
            if self._checkpoints is not None and self._checkpoints.due():
                self._save()
        if self._at.position:
            self._end_epoch()
        if self._checkpoints is not None:
            self._save()

    def _step(self, batch: Batch, steps_an_epoch: int) -> None:
        """One change of the weights."""
        total_steps = steps_an_epoch * self._settings.epochs
        rate = self._settings.learning_rate * learning_rate_factor(self._share_done(total_steps), self._settings.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        losses = self._losses(batch)
        weights = {"responses": self._settings.responses, "features": self._settings.features}
        weights["labels"] = self._settings.labels
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._settings.max_gradient_norm)
        loss = float(total.detach())
        if not (math.isfinite(loss) and math.isfinite(float(norm))):
            raise self._diverged(loss)
        self._optimizer.step()
        with torch.no_grad():
            for name, zeros in self._zeros.items():
                self._parameters[name].masked_fill_(zeros, 0.0)
        for name, value in {"loss": total, **losses}.items():
            self._at.sums[name] = self._at.sums.get(name, 0.0) + float(value.detach())
        self._report(loss, total_steps)

    def _losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Each loss that has a weight and something to learn from, for one batch."""
        task, settings, lesson = get_task(self._student.task), self._settings, self._lessons.teacher.lesson(batch)
        real = batch.real if batch.real is not None else torch.ones(batch.tensors[0].shape[:2], dtype=torch.bool)
        own = [student for student, _ in self._lessons.blocks] if settings.features else []
        with block_outputs(self._student, own) as hidden:
            outputs = self._module(*batch.tensors)
        losses = {"responses": task.response_loss(outputs, lesson.outputs, real, settings.temperature)}
        if own:
            losses["features"] = feature_loss([hidden[index] for index in own], lesson.features, batch.real)
        targets = self._lessons.samples.targets
        if settings.labels and targets is not None:
            found = task.label_loss(outputs, [targets[index] for index in batch.indices], real)
            if found is not None:
                losses["labels"] = found
        return losses

    def _end_epoch(self) -> None:
        """Note the epoch's losses, validate, and keep the weights if they are the best so far."""
        losses = {name: value / self._at.position for name, value in self._at.sums.items()}
        entry = {"epoch": self._at.epoch, "steps": self._at.position, **losses, **self._scored()}
        best = self._at.history[self._at.best_epoch]
        self._at.history.append(entry)
        if self._lessons.validation is None or Score.from_entry(entry).better_than(Score.from_entry(best)):
            self._at.best_epoch = self._at.epoch
            self._best = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._at.epoch, self._at.position, self._at.sums = self._at.epoch + 1, 0, {}

    def _scored(self) -> dict[str, Any]:
        if self._lessons.validation is None:
            return {"validation_loss": None, "validation_metric": None, "validation_metric_name": None}
        return self._lessons.validation.score(self._student).to_entry()

    def _stopped(self) -> str | None:
        if self._at.epoch > self._settings.epochs:
            return "epochs"
        if self._lessons.validation and self._at.epoch - 1 - self._at.best_epoch >= self._settings.patience:
            return "patience"
        return "minutes" if self._out_of_time() else None

    def _seconds(self) -> float:
        return self._at.seconds + time.monotonic() - self._began

    def _out_of_time(self) -> bool:
        return self._settings.minutes is not None and self._seconds() >= 60 * self._settings.minutes

    def _share_done(self, total_steps: int) -> float:
        by_time = self._seconds() / (60 * self._settings.minutes) if self._settings.minutes else 0.0
        return min(1.0, max(by_time, self._at.steps / total_steps))

    def _diverged(self, loss: float) -> InputError:
        best = self._at.history[self._at.best_epoch]
        metric = best["validation_metric"]
        kept = f", whose validation metric is {metric:.4f}" if metric is not None else ""
        return InputError(
            f"the loss or a gradient is no finite number at step {self._at.steps + 1} (epoch "
            f"{self._at.epoch}, loss {loss}). Try learning_rate = {self._settings.learning_rate / 3:.1g}, or epochs = "
            f"{max(self._at.epoch - 1, 1)}; the best so far is epoch {self._at.best_epoch}{kept}"
        )

    def _report(self, loss: float, total_steps: int) -> None:
        now = time.monotonic()
        if now - self._said < _PROGRESS_SECONDS:
            return
        self._said = now
        done = self._at.steps + 1
        left = (now - self._loop_began) / (done - self._loop_began_at_step) * (total_steps - done)
        if self._settings.minutes is not None:
            left = min(left, 60 * self._settings.minutes - self._seconds())
        self._say(f"recover: step {done} of {total_steps}, loss {loss:.4f}, {max(left, 0) / 60:.1f} min left")

    def _save(self) -> None:
        if self._checkpoints is None:
            return
        tensors = {f"parameters/{name}": parameter for name, parameter in self._parameters.items()}
        for name, parameter in self._parameters.items():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = value
        for name, tensor in (self._best or {}).items():
            tensors[f"best/{name}"] = tensor
        state = {**asdict(self._at), "seconds": self._seconds()}
        try:
            self._checkpoints.save(Checkpoint(tensors, state))
        except OSError as error:
            self._say(
                f"recover: a checkpoint can't be written ({error}): if killed, training loses what follows the last"
            )

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._at = _Progress(**checkpoint.state)
        best: Tensors = {}
        with torch.no_grad():
            for full, tensor in checkpoint.tensors.items():
                kind, _, name = full.partition("/")
                if kind == "parameters":
                    self._parameters[name].copy_(tensor)
                elif kind == "best":
                    best[name] = tensor
                else:
                    key, _, name = name.partition("/")
                    self._optimizer.state[self._parameters[name]][key] = tensor
        self._best = best or None
        self._say(f"recover: goes on at step {self._at.steps + 1}, epoch {self._at.epoch}")


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run a block with ``count`` threads in torch, and set their number back."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _optimizer(parameters: Any, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW that decays matrices only."""
    known = list(parameters)
    groups = [
        {"params": [p for p in known if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in known if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _zeros(parameters: Mapping[str, torch.Tensor]) -> Tensors:
    """bool masks of the matrices that were pruned without structure: where they are exactly zero."""
    masks = {name: parameter.detach() == 0 for name, parameter in parameters.items() if parameter.dim() >= 2}
    return {name: mask for name, mask in masks.items() if mask.float().mean() >= _LEAST_SHARE_OF_ZEROS}
