"""tensors: a user's own module; nothing is known of its outputs but that they are numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from edgeformer_runtime.bundle.manifest import TensorSpec

from ..errors import InputError
from .base import Task
from .base import Tensors as Outputs
from .divergence import gaussian_at_draws, squared_error, squares


@dataclass(frozen=True)
class Tensors(Task):
    """No labels, no decisions, no metric; distances are squared errors."""

    own_module: ClassVar[bool] = True
    damage_unit: ClassVar[str] = "relative squared error"

    def output_specs(self, width: int) -> tuple[TensorSpec, ...]:
        raise InputError("task 'tensors': its outputs are the module's own (edgeformer.model.base.from_module)")

    def damage(self, expected: Outputs, changed: Outputs, real: torch.Tensor | None) -> float:
        return squared_error(expected, changed)

    def damage_weight(self, expected: Outputs, real: torch.Tensor | None) -> float:
        return squares(expected)

    def direction(self, z: torch.Tensor, real: torch.Tensor | None, noise: torch.Tensor) -> torch.Tensor:
        return noise * 2**0.5

    def response_loss(self, student: Outputs, teacher: Outputs, real: torch.Tensor, temperature: float) -> torch.Tensor:
        return torch.stack([(s - t).square().mean() for s, t in zip(student, teacher, strict=True)]).mean()

    def row_losses(
        self, outputs: Outputs, real: torch.Tensor | None, targets: Sequence[Any] | None, generator: torch.Generator
    ) -> torch.Tensor:
        return gaussian_at_draws(outputs, generator)
