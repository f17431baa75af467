"""Distances that tasks share: Kullback-Leibler divergence, squared errors, and losses at a model's own draws.

Legend: B rows, S positions, L labels or positions that a softmax runs over.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from .masks import MASKED

IGNORED = -100


def masked(logits: torch.Tensor, real: torch.Tensor | None) -> torch.Tensor:
    """[B, S] with padding so low that it has no share in a softmax: exp() of it is exactly 0."""
    return logits if real is None else logits.masked_fill(~real, MASKED)


def kl(p: torch.Tensor, q: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """KL(softmax(p/T) ‖ softmax(q/T)) over the last dimension, in nats."""
    log_p, log_q = F.log_softmax(p / temperature, dim=-1), F.log_softmax(q / temperature, dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def distillation_kl(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² · KL over the last dimension, mean over all others: T² keeps the gradients' size (Hinton et al. 2015, 2)."""
    return kl(teacher, student, temperature).mean() * temperature**2


def softmax_direction(p: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """u = (diag(√p) − p √pᵀ) ξ, which has the covariance diag(p) − p pᵀ."""
    return p.sqrt() * noise - p * (p.sqrt() * noise).sum(-1, keepdim=True)


def squares(outputs: Sequence[torch.Tensor]) -> float:
    """Σ z² over all outputs."""
    return sum(float(t.square().sum()) for t in outputs)


def squared_error(expected: Sequence[torch.Tensor], changed: Sequence[torch.Tensor]) -> float:
    """Σ (z' − z)² over all outputs."""
    return squares([x - y for x, y in zip(expected, changed, strict=True)])


def cross_entropy_at_draws(
    logits: torch.Tensor, labels: torch.Tensor | None, real: torch.Tensor | None, generator: torch.Generator
) -> torch.Tensor:
    """Each row's sum over positions: logits [B, S, L], labels int64 [B, S] (``IGNORED`` doesn't count) or drawn."""
    if labels is None:
        p = torch.softmax(logits.detach(), dim=-1)
        labels = torch.multinomial(p.reshape(-1, p.shape[-1]), 1, generator=generator).reshape(p.shape[:-1])
        if real is not None:
            labels = labels.masked_fill(~real, IGNORED)
    return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=IGNORED).sum(dim=1)


def gaussian_at_draws(outputs: Sequence[torch.Tensor], generator: torch.Generator) -> torch.Tensor:
    """Each row's −log density, up to a constant, at a draw around it: ½‖y + z − y‖², whose gradient is −z·∂y."""
    losses = torch.zeros(outputs[0].shape[0])
    for output in outputs:
        z = torch.randn(output.shape, generator=generator)
        losses = losses + 0.5 * (output.detach() + z - output).square().reshape(output.shape[0], -1).sum(dim=1)
    return losses
