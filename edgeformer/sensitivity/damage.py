"""Damage: how far the outputs of a changed model are from those of the original, one number, 0 for equal outputs.

classification          KL(p ‖ q) in nats, p the original's softmax and q the changed one's (per label and summed for
                        several labels at once), mean over rows
token classification    the same, mean over real tokens
question answering      KL over positions of the start plus that of the end, mean over rows
embeddings              1 − cosine, mean over rows
regression, tensors     Σ (z' − z)² / Σ z² over all rows

Beside the exact figure there is the leading term in the change δz of the outputs, ½ δzᵀ F δz, F the curvature of the
damage at the original (for KL the Fisher information, diag(p) − p pᵀ). With random u such that E[u uᵀ] = F it is
½ E[(uᵀδz)²] (Hutchinson 1990), so a gradient a direction is enough where outputs are many.

Legend: B rows, S positions, K labels, D directions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..data.batching import BatchOutputs
from ..errors import InputError
from ..tasks import Task

RANDOM_DIRECTIONS = 8


@dataclass(frozen=True)
class Damage:
    """A sum over rows and what it is divided by, so that batches can be added."""

    total: float = 0.0
    weight: float = 0.0

    def __add__(self, other: Damage) -> Damage:
        return Damage(self.total + other.total, self.weight + other.weight)

    @property
    def mean(self) -> float:
        """The damage; 0 without any rows."""
        return self.total / self.weight if self.weight else 0.0


def damage(task: Task, expected: BatchOutputs, changed: BatchOutputs, real: torch.Tensor | None) -> Damage:
    """Damage of ``changed`` outputs; both are tuples as a model's ``callable_module`` returns them.

    Args:
        task: decides the formula.
        expected: the original's outputs.
        changed: the changed model's.
        real: bool [B, S], False at padding, which doesn't count.

    Raises:
        InputError: NaN or infinite outputs.
    """
    a, b = [t.double() for t in expected], [t.double() for t in changed]
    for name, tensors in (("original", a), ("changed", b)):
        if not all(bool(torch.isfinite(t).all()) for t in tensors):
            raise InputError(f"the {name} model's outputs hold NaN or infinite values: check the model's weights")
    return Damage(task.damage(a, b, real), task.damage_weight(a, real))


def linear_damage(task: Task, expected: BatchOutputs, changes: torch.Tensor, real: torch.Tensor | None) -> Damage:
    """Damage from the first-order change of the outputs along ``directions``.

    Args:
        task: decides the formula.
        expected: the original's outputs.
        changes: float64 [D, B], uᵀδz of each row for each direction u that ``directions`` gave.
        real: bool [B, S], False at padding.
    """
    doubles = [t.double() for t in expected]
    if task.follows_each_output(expected):
        z = doubles[0]
        return damage(task, expected, (z + changes.T.reshape(z.shape),), real)
    return Damage(float(0.5 * changes.square().mean(dim=0).sum()), task.damage_weight(doubles, real))


def whitened(task: Task, expected: BatchOutputs, changes: torch.Tensor) -> torch.Tensor:
    """float64 [D, B] whose squares sum to δzᵀ F δz of all rows, so that products say how two changes add up.

    ``changes`` is as for ``linear_damage``: with random directions F is in them already.
    """
    if not task.follows_each_output(expected):
        return changes / math.sqrt(changes.shape[0])
    return task.whitened(expected[0].double().flatten(1).T, changes)


def directions(
    task: Task, outputs: BatchOutputs, real: torch.Tensor | None, generator: torch.Generator
) -> Sequence[BatchOutputs]:
    """Tuples u, one tensor an output: each output alone where they are few, else random with E[u uᵀ] = F."""
    if task.follows_each_output(outputs):
        z = outputs[0]
        basis = torch.eye(z[0].numel(), dtype=z.dtype)
        return [(row.reshape(z.shape[1:]).expand_as(z).contiguous(),) for row in basis]
    return [tuple(_random(task, output, real, generator) for output in outputs) for _ in range(RANDOM_DIRECTIONS)]


def _random(task: Task, z: torch.Tensor, real: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
    return task.direction(z, real, torch.randn(z.shape, generator=generator, dtype=z.dtype))
