"""Task: everything that the rest of the compiler asks of what a model is for.

Outputs come in two forms: of many rows at once as torch tensors, in the order of the model's outputs (``Tensors``), and
of one row as arrays by name, without the batch dimension and without padding (``RowOutputs``).

Legend: B rows, S positions, K labels, D directions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from edgeformer_runtime.bundle.manifest import TaskSpec, TensorSpec
from edgeformer_runtime.preprocess.text import EncodedText
from edgeformer_runtime.tasks import Task as DeviceTask
from edgeformer_runtime.tasks import get_task as device_task

Tensors = Sequence[torch.Tensor]
# what a row gives to the model, and what it says should come out
Reads = Literal["text", "words", "question", "image", "audio", "image and text"]
Targets = Literal["label", "labels", "number", "word labels", "answers", "score", "text"]
RowOutputs = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Metric:
    """A metric's value; ``per_sample`` holds a score per sample where the metric is a mean over samples."""

    name: str
    value: float
    per_sample: tuple[float, ...] = ()
    higher_is_better: bool = True

    def loss_to(self, after: Metric) -> float:
        """How much worse ``after`` is than this, in the metric's own unit; below 0 where it is better."""
        return self.value - after.value if self.higher_is_better else after.value - self.value

    @property
    def goodness(self) -> float:
        """The value with the sign that makes more of it better: what two are ranked by."""
        return self.value if self.higher_is_better else -self.value


@dataclass(frozen=True)
class Task(ABC):
    """What outputs mean: their shapes, what they decide, and how wrong two models' outputs are of each other."""

    spec: TaskSpec
    reads: Reads = "text"

    targets: ClassVar[Targets] = "score"
    # whether a head with one output gives a number instead of a label
    regresses: ClassVar[bool] = False
    # whether there is a loss to learn from targets by
    learns_targets: ClassVar[bool] = True
    # whether each token of a row has a decision of its own, or a decision is a place among them
    by_token: ClassVar[bool] = False
    # whether the module's hidden states are pooled into one vector before anything else
    pools: ClassVar[bool] = False
    # whether the module is a user's own, called with its tensors as it is
    own_module: ClassVar[bool] = False
    damage_unit: ClassVar[str] = "KL divergence (nats)"
    # whether each output of a trained head has a label
    labels_of_head: ClassVar[bool] = False
    # graphs that the model is exported as: name -> (roles of its inputs, its output); empty: one, with all of them
    graphs: ClassVar[Mapping[str, tuple[tuple[str, ...], str]]] = {}

    @property
    def min_rows(self) -> int:
        """Rows that a result needs at least to be judged on."""
        return 1

    # outputs

    @abstractmethod
    def output_specs(self, width: int) -> tuple[TensorSpec, ...]:
        """The outputs; ``width`` is the number of labels, or of embedding values."""

    def select(self, result: Any) -> tuple[torch.Tensor, ...]:
        """The outputs among what a transformers model returns."""
        return (result.logits,)

    # rows

    def target(self, target: Any, text: str | Sequence[str], text_pair: str | None, encoded: EncodedText) -> Any:
        """A row's target for its tokens; most targets don't depend on them.

        Args:
            target: as ``rows.samples`` read it, never None.
            text: the row's text, or its words.
            text_pair: its second text.
            encoded: the row's tokens.
        """
        return target

    def on_device(self, outputs: Sequence[RowOutputs], specs: Sequence[TensorSpec]) -> DeviceTask | None:
        """What makes predictions of rows on a device, ready for these; None where they are too few for it."""
        return device_task(self.spec, specs)

    def judged(self, outputs: Sequence[RowOutputs], stored: Sequence[RowOutputs]) -> Sequence[RowOutputs]:
        """A variant's outputs as a device decides by them; ``stored``: the compressed model's, of which a bundle may
        hold some.
        """
        return outputs

    # decisions and metric

    def decisions(self, outputs: Sequence[RowOutputs]) -> list[Any]:
        """What each row's outputs decide, comparable with ``==``; [] where nothing is decided."""
        return []

    def agreement(self, first: Sequence[RowOutputs], second: Sequence[RowOutputs]) -> float | None:
        """Share of equal decisions of two models over the same rows; None where nothing is decided.

        None as well where the two cut a text into different tokens and decide by token: there is nothing to match.
        """
        if self.by_token and any(_shapes(a) != _shapes(b) for a, b in zip(first, second, strict=True)):
            return None
        equal = [a == b for a, b in zip(self.decisions(first), self.decisions(second), strict=True)]
        return float(np.mean(equal)) if equal else None

    def metric(self, outputs: Sequence[RowOutputs], targets: Sequence[Any]) -> Metric | None:
        """How good the outputs are by the rows' targets; None where the task has no metric for such rows."""
        return None

    # damage: how far changed outputs are from the original's (``sensitivity.damage``)

    @abstractmethod
    def damage(self, expected: Tensors, changed: Tensors, real: torch.Tensor | None) -> float:
        """Σ over rows of the distance of float64 outputs, 0 for equal ones; ``real`` bool [B, S], False at padding."""

    def damage_weight(self, expected: Tensors, real: torch.Tensor | None) -> float:
        """What the sum of ``damage`` is divided by: the rows, unless a task says otherwise."""
        return float(expected[0].shape[0])

    def follows_each_output(self, outputs: Tensors) -> bool:
        """Whether a row has so few numbers that each is a direction of its own, instead of random ones."""
        return False

    def whitened(self, z: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
        """√F δz for the damage's curvature F at outputs ``z``, both float64 [K, B]; where each output is followed."""
        raise NotImplementedError

    @abstractmethod
    def direction(self, z: torch.Tensor, real: torch.Tensor | None, noise: torch.Tensor) -> torch.Tensor:
        """A random u with E[u uᵀ] = F, made of standard normal ``noise`` of the shape of the output ``z``."""

    # losses

    @abstractmethod
    def response_loss(self, student: Tensors, teacher: Tensors, real: torch.Tensor, temperature: float) -> torch.Tensor:
        """How far the student's outputs are from the teacher's: a scalar, 0 where equal (``training.distillation``)."""

    def label_loss(self, student: Tensors, targets: Sequence[Any], real: torch.Tensor) -> torch.Tensor | None:
        """What labels make of the student's outputs, a mean; None where task or batch has none to learn from."""
        return None

    @abstractmethod
    def row_losses(
        self,
        outputs: Tensors,
        real: torch.Tensor | None,
        targets: Sequence[Any] | None,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Loss of each row, float [B], differentiable; without targets at a draw of the outputs' own (``pruning``)."""


def _shapes(row: RowOutputs) -> list[tuple[int, ...]]:
    return [array.shape for array in row.values()]
