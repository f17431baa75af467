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
from torch.nn import functional as F

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..errors import InputError

Outputs = tuple[torch.Tensor, ...]
# With so few numbers a row the outputs' own gradients cost no more than random directions, and say more.
MAX_EXACT_OUTPUTS = 8
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


def damage_unit(task: TaskSpec) -> str:
    """What the numbers are, for people."""
    if task.name == "feature-extraction":
        return "1 − cosine"
    return "relative squared error" if _is_squared(task) else "KL divergence (nats)"


def damage(task: TaskSpec, expected: Outputs, changed: Outputs, real: torch.Tensor | None) -> Damage:
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
    rows = a[0].shape[0]
    if task.name == "feature-extraction":
        return Damage(float((1 - F.cosine_similarity(a[0], b[0], dim=-1)).clamp(min=0).sum()), rows)
    if _is_squared(task):
        total = sum(float((x - y).square().sum()) for x, y in zip(a, b, strict=True))
        return Damage(total, _squares(a))
    if task.name == "question-answering":
        return Damage(
            sum(float(_kl(_masked(x, real), _masked(y, real)).sum()) for x, y in zip(a, b, strict=True)), rows
        )
    if task.name == "token-classification":
        per_token = _kl(a[0], b[0])
        kept = per_token if real is None else per_token[real]
        return Damage(float(kept.sum()), kept.numel())
    if task.multi_label:
        return Damage(float(_bernoulli_kl(a[0], b[0]).sum()), rows)
    return Damage(float(_kl(a[0], b[0]).sum()), rows)


def linear_damage(task: TaskSpec, expected: Outputs, changes: torch.Tensor, real: torch.Tensor | None) -> Damage:
    """Damage from the first-order change of the outputs along ``directions``.

    Args:
        task: decides the formula.
        expected: the original's outputs.
        changes: float64 [D, B], uᵀδz of each row for each direction u that ``directions`` gave.
        real: bool [B, S], False at padding.
    """
    if uses_exact_directions(task, expected):
        z = expected[0].double()
        return damage(task, expected, (z + changes.T.reshape(z.shape),), real)
    rows = expected[0].shape[0]
    weight: float = rows
    if _is_squared(task):
        weight = _squares([t.double() for t in expected])
    elif task.name == "token-classification":
        weight = float(real.sum()) if real is not None else expected[0][..., 0].numel()
    return Damage(float(0.5 * changes.square().mean(dim=0).sum()), weight)


def whitened(task: TaskSpec, expected: Outputs, changes: torch.Tensor) -> torch.Tensor:
    """float64 [D, B] whose squares sum to δzᵀ F δz of all rows, so that products say how two changes add up.

    ``changes`` is as for ``linear_damage``: with random directions F is in them already.
    """
    if not uses_exact_directions(task, expected):
        return changes / math.sqrt(changes.shape[0])
    z = expected[0].double().flatten(1).T
    if _is_squared(task):
        return changes * 2**0.5
    if task.multi_label:
        p = torch.sigmoid(z)
        return changes * (p * (1 - p)).sqrt()
    p = torch.softmax(z, dim=0)
    return p.sqrt() * (changes - (p * changes).sum(dim=0))


def uses_exact_directions(task: TaskSpec, outputs: Outputs) -> bool:
    """Whether each output of a row is followed by itself."""
    return task.name == "text-classification" and outputs[0][0].numel() <= MAX_EXACT_OUTPUTS


def directions(
    task: TaskSpec, outputs: Outputs, real: torch.Tensor | None, generator: torch.Generator
) -> Sequence[Outputs]:
    """Tuples u, one tensor an output: each output alone where they are few, else random with E[u uᵀ] = F."""
    if uses_exact_directions(task, outputs):
        z = outputs[0]
        basis = torch.eye(z[0].numel(), dtype=z.dtype)
        return [(row.reshape(z.shape[1:]).expand_as(z).contiguous(),) for row in basis]
    return [
        tuple(_random_direction(task, output, real, generator) for output in outputs) for _ in range(RANDOM_DIRECTIONS)
    ]


def _random_direction(
    task: TaskSpec, z: torch.Tensor, real: torch.Tensor | None, generator: torch.Generator
) -> torch.Tensor:
    noise = torch.randn(z.shape, generator=generator, dtype=z.dtype)
    if task.name == "feature-extraction":
        norm = z.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        unit = z / norm
        tangent: torch.Tensor = (noise - unit * (unit * noise).sum(-1, keepdim=True)) / norm
        return tangent
    if _is_squared(task):
        return noise * 2**0.5
    if task.multi_label:
        p = torch.sigmoid(z)
        return (p * (1 - p)).sqrt() * noise
    p = torch.softmax(_masked(z, real) if task.name == "question-answering" else z, dim=-1)
    # u = (diag(√p) − p √pᵀ) ξ has the covariance diag(p) − p pᵀ
    direction = p.sqrt() * noise - p * (p.sqrt() * noise).sum(-1, keepdim=True)
    if task.name == "token-classification" and real is not None:
        direction = direction * real[..., None]
    return direction


def _is_squared(task: TaskSpec) -> bool:
    return task.name == "tensors" or task.regression


def _squares(outputs: Sequence[torch.Tensor]) -> float:
    return sum(float(t.square().sum()) for t in outputs)


def _masked(z: torch.Tensor, real: torch.Tensor | None) -> torch.Tensor:
    """Position logits [B, S] with padding far below any other: exp() of it is exactly 0."""
    return z if real is None else z.masked_fill(~real, -1e9)


def _kl(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """KL(softmax(a) ‖ softmax(b)) over the last dimension; never below 0."""
    log_p, log_q = F.log_softmax(a, dim=-1), F.log_softmax(b, dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).clamp(min=0)


def _bernoulli_kl(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Sum over labels of the KL between Bernoulli(sigmoid(a)) and Bernoulli(sigmoid(b)); never below 0."""
    p = torch.sigmoid(a)
    each = p * (F.logsigmoid(a) - F.logsigmoid(b)) + (1 - p) * (F.logsigmoid(-a) - F.logsigmoid(-b))
    return each.sum(dim=-1).clamp(min=0)
