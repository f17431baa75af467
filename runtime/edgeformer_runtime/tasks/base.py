"""What a task is to a session: what it takes, and the result that it makes of a row's outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Dict, Mapping, Optional, Tuple

import numpy as np

from ..bundle.manifest import TaskSpec
from ..errors import RuntimeBundleError
from ..preprocess.base import Encoded


@dataclass(frozen=True)
class Prediction(ABC):
    """What ``Session.predict`` gives for one row, common to every task."""

    tokens: Optional[int]  # tokens that the model saw, special ones included; None where the row is no text
    truncated: bool  # the row was longer than the model takes, and a part of it was not looked at
    tokens_cut: Optional[int]  # tokens of that part; None for a pair of which both texts may be cut

    def to_dict(self) -> Dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)

    @abstractmethod
    def summary(self) -> str:
        """One line for a terminal."""


@dataclass(frozen=True)
class Task(ABC):
    """One task, for one model. ``outputs``: names of the model's outputs, in its order.

    Raises RuntimeBundleError where ``spec`` says what such a task doesn't have, or outputs are missing.
    """

    spec: TaskSpec
    outputs: Tuple[str, ...]

    reads: ClassVar[Optional[str]] = "text"  # the kind of preprocessing that makes its inputs; None: arrays alone
    pairs_only: ClassVar[bool] = False  # a row is a pair of texts
    cut: ClassVar[str] = "longest"  # what of a pair may be cut: see TextPreprocess
    outputs_needed: ClassVar[int] = 1
    has_activation: ClassVar[bool] = False
    embeds: ClassVar[Tuple[str, ...]] = ()  # kinds of preprocessing of which it gives vectors, in the outputs' order

    @property
    def kinds(self) -> Tuple[str, ...]:
        """The kinds of preprocessing that make a row's inputs."""
        return () if self.reads is None else tuple(self.reads.split(" and "))

    def __post_init__(self) -> None:
        if self.spec.activation is not None and not self.has_activation:
            raise RuntimeBundleError(
                f"task {self.spec.name}: activation {self.spec.activation!r}: expected none, such a task has no scores "
                "to choose one for"
            )
        if len(self.outputs) < self.outputs_needed:
            raise RuntimeBundleError(
                f"task {self.spec.name}: expected {self.outputs_needed} outputs, got {len(self.outputs)}: the manifest "
                "doesn't fit the task, compile the bundle again"
            )

    def predict(self, outputs: Mapping[str, np.ndarray], encoded: Encoded) -> Prediction:
        """The result of one row.

        ``outputs``: {name: array [1, …]}, without padding. Raises RuntimeBundleError for NaN, infinity and shapes that
        don't fit the task.
        """
        return self._predict(tuple(self.output(outputs, name) for name in self.reads_outputs), encoded)

    @property
    def reads_outputs(self) -> Tuple[str, ...]:
        """Names of the outputs that a prediction is made of."""
        return self.outputs

    def output(self, outputs: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        """One of a row's outputs; raises RuntimeBundleError where it isn't there, or holds NaN or infinity."""
        if name not in outputs:
            raise RuntimeBundleError(
                f"task {self.spec.name}: what ran gives {', '.join(outputs)} and no {name}: compile the bundle again"
            )
        array = outputs[name]
        if not np.isfinite(array).all():
            raise RuntimeBundleError(
                f"output {name!r} holds NaN or infinity: the variant doesn't work on this device, try another one"
            )
        return array

    @abstractmethod
    def _predict(self, arrays: Tuple[np.ndarray, ...], encoded: Encoded) -> Prediction:
        """As ``predict``, of finite arrays in the order of ``reads_outputs``."""

    def vector(self, output: np.ndarray) -> np.ndarray:
        """float32 [dimensions] of an output [1, dimensions]; raises RuntimeBundleError for another shape."""
        if output.ndim != 2:
            raise RuntimeBundleError(f"task {self.spec.name}: expected [1, dimensions], got {list(output.shape)}")
        return np.asarray(output[0], np.float32)

    def labelled(self, logits: np.ndarray, dimensions: int) -> np.ndarray:
        """``logits`` [1, …, labels], once it is sure that they have that shape; raises RuntimeBundleError."""
        labels = self.spec.labels
        if logits.ndim != dimensions or logits.shape[-1] != len(labels) or not labels:
            raise RuntimeBundleError(
                f"task {self.spec.name}: {len(labels)} labels and {dimensions} dimensions expected, got shape "
                f"{list(logits.shape)}: the manifest doesn't fit the model, compile the bundle again"
            )
        return logits
