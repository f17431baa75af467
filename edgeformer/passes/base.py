"""What a pass is, and the pipeline that runs passes and holds them to what they declare.

A pass states what models it is for (``suits``) and what it needs (``requires``), does its work on a copy (``run``), and
states what must now be true (``ensures``). The pipeline enforces all, names the pass in every error, and times it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from edgeformer_runtime.foreign import foreign_errors

from ..context import PassContext
from ..errors import EdgeformerError
from ..model.base import Model

__all__ = [
    "FrontierPoint", "OpenPass", "Pass", "PassBrokenError", "PassContext", "PassRecord", "PassResult", "PipelineResult",
    "run_passes",
]  # fmt: skip


@dataclass(frozen=True)
class PassResult:
    """The new model, whether anything changed, and facts for the report (plain JSON data)."""

    model: Model
    changed: bool
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PassRecord:
    """What the pipeline noted of one pass."""

    name: str
    changed: bool
    seconds: float
    facts: Mapping[str, Any]


class Pass(ABC):
    """One step of a recipe. Subclasses are frozen dataclasses: their fields are their configuration."""

    name: ClassVar[str]
    compresses: ClassVar[bool] = True  # False for passes that only complete the user's model (merge_lora)

    def suits(self, model: Model) -> None:
        """Raise an EdgeformerError where no pass before this one could make it work; asked before the first runs."""
        return

    def requires(self, model: Model, context: PassContext) -> None:
        """Raise an EdgeformerError when the pass can't work on this model; called before ``run``."""
        return

    @abstractmethod
    def run(self, model: Model, context: PassContext) -> PassResult:
        """Return a new model; ``model`` itself is left as it was."""

    def per_tensor(self) -> Pass:
        """The same step for engines that know one scale a tensor and no integer tables (32-bit Arm)."""
        return self

    def in_floats(self) -> Pass:
        """The same step for files whose weights stay floats."""
        return self

    def ensures(self, model: Model) -> None:
        """Raise when the new model lacks what the pass promises; a failure here is a defect of the pass."""
        return


@dataclass(frozen=True)
class FrontierPoint:
    """One way to fill an open choice: what it is predicted to cost. ``plan`` is for the pass that made it."""

    damage: float
    size_bytes: int  # of integers and scales alone
    plan: Any = None


class OpenPass(Pass):
    """A pass that leaves a choice open until a budget is known; a compile tries its frontier point by point."""

    @property
    @abstractmethod
    def has_budget(self) -> bool:
        """True when its own settings state the budget, so that ``run`` chooses alone."""

    @abstractmethod
    def frontier(self, model: Model, context: PassContext, points: int) -> list[FrontierPoint]:
        """At most ``points`` choices of which none is both larger and worse than another, the smallest first."""

    def explain(self, model: Model, context: PassContext) -> Mapping[str, Any]:
        """What the frontier was made from, plain JSON data for the report."""
        return {}

    @abstractmethod
    def steps(self, point: FrontierPoint) -> tuple[Pass, ...]:
        """The concrete passes that do what a point says, and repeat it in a recipe."""


class PassBrokenError(EdgeformerError):
    """A pass broke its own promise: a defect in edgeformer, not in the user's input."""


@dataclass(frozen=True)
class PipelineResult:
    """The compressed model, and the complete uncompressed one that it is compared with."""

    model: Model
    uncompressed: Model
    records: tuple[PassRecord, ...]


def run_passes(model: Model, passes: Sequence[Pass], context: PassContext) -> PipelineResult:
    """Run ``passes`` in order; on an error the message is led by the pass's name and those that ran before it."""
    records: list[PassRecord] = []
    uncompressed = model
    for step in passes:
        with foreign_errors(f"pass {step.name}", lead_ours=True):
            step.suits(model)
    for step in passes:
        context.progress(step.name)
        start = time.monotonic()
        known = replace(context, uncompressed=uncompressed)
        ran = f" (after {', '.join(record.name for record in records)})" if records else ""
        with foreign_errors(f"pass {step.name}{ran}", lead_ours=True):
            step.requires(model, known)
            before = model.module
            result = step.run(model, known)
            if result.changed and result.model.module is before:
                raise PassBrokenError("reported a change but returned the module that it was given")
            step.ensures(result.model)
        model = result.model
        if not step.compresses:
            uncompressed = model
        records.append(PassRecord(step.name, result.changed, time.monotonic() - start, result.facts))
    return PipelineResult(model, uncompressed, tuple(records))
