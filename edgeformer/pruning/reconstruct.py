"""Least squares for one linear that loses inputs: the inputs that stay take over what they can of those that go.

Legend: C inputs before, S those that stay, R those that go, N token positions.

The linear y = W·x + b becomes y' = W'·x_S + b' that minimises E‖y − y'‖² + λ‖W' − W_S‖²:

    W' = W_S + W_R · Cov(x_R, x_S) · (Cov(x_S, x_S) + λI)⁻¹        b' = b + W·mean(x) − W'·mean(x_S)

which is the local update of ZipLM (Kurtic 2023, eq. 3; SparseGPT, Frantar 2023, eq. 1) with a bias. Since λ pulls to
plain removal and not to zero, the error on the calibration rows never exceeds that of removal with the same bias
correction, however few the rows are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

DAMPING = 0.01


class Moments:
    """Mean and second moment of a layer's inputs, added up over batches in float64."""

    def __init__(self) -> None:
        self.count = 0
        self._total = torch.zeros(0, dtype=torch.float64)
        self._gram = torch.zeros(0, dtype=torch.float64)

    def add(self, x: torch.Tensor) -> None:
        """``x`` is float32 [N, C]."""
        first = self.count == 0
        total, gram = x.sum(dim=0, dtype=torch.float64), (x.T @ x).double()
        self._total = total if first else self._total + total
        self._gram = gram if first else self._gram + gram
        self.count += x.shape[0]

    @property
    def mean(self) -> torch.Tensor:
        """float64 [C]."""
        return self._total / max(self.count, 1)

    @property
    def gram(self) -> torch.Tensor:
        """float64 [C, C]: XᵀX / N."""
        return self._gram / max(self.count, 1)


@dataclass(frozen=True)
class Reconstruction:
    """The new linear's values, and its errors relative to the output's variance (or energy, without a bias)."""

    weight: torch.Tensor  # float64 [out, S]
    bias: torch.Tensor | None  # float64 [out]
    error_removed: float  # E‖y − (W_S·x_S + b)‖² / E‖y − mean(y)‖²: plain removal
    error: float  # the same with the new values


def reconstruct(
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    moments: Moments,
    kept: Sequence[int],
    damping: float = DAMPING,
) -> Reconstruction:
    """Weights for the inputs ``kept`` of a linear.

    Args:
        weight: [out, C].
        bias: [out]; without one nothing takes over the mean, and the moments are taken around zero.
        moments: of the inputs before the cut, float64.
        kept: which of the C inputs stay.
        damping: λ as a share of the mean variance of the kept inputs.
    """
    w = weight.detach().double()
    stay = torch.tensor(list(kept))
    mask = torch.ones(w.shape[1], dtype=torch.bool)
    mask[stay] = False
    go = torch.nonzero(mask).flatten()
    mean = moments.mean
    spread = moments.gram - torch.outer(mean, mean) if bias is not None else moments.gram
    inner = spread[stay][:, stay]
    ridge = max(damping * float(inner.diagonal().mean()), 1e-12)
    damped = inner + ridge * torch.eye(len(stay), dtype=torch.float64)
    update = torch.linalg.solve(damped, spread[stay][:, go] @ w[:, go].T).T
    made = w[:, stay] + update
    energy = max(_quadratic(w, spread), 1e-30)
    lost = w.clone()
    lost[:, stay] = 0.0
    difference = lost.clone()
    difference[:, stay] = -update
    new_bias = None if bias is None else bias.detach().double() + w @ mean - made @ mean[stay]
    return Reconstruction(
        weight=made,
        bias=new_bias,
        error_removed=_quadratic(lost, moments.gram) / energy,
        error=_quadratic(difference, spread) / energy,
    )


def _quadratic(w: torch.Tensor, spread: torch.Tensor) -> float:
    """E‖w·x‖² for x of second moment ``spread``."""
    return max(float(((w @ spread) * w).sum()), 0.0)
