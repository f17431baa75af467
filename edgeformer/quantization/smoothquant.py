"""Factors that move range from one side of a product to the other, leaving the product as it is.

An engine that quantizes activations at run time has one scale for all channels, so one channel with large values takes
resolution from the others. Dividing channel j by s_j, and multiplying the weights that read it by s_j, evens this out.

Legend: C channels.
"""

from __future__ import annotations

import torch


def smoothing_factors(activation_max: torch.Tensor, weight_max: torch.Tensor, strength: float) -> torch.Tensor:
    """s_j = max|X_j|^α / max|W_j|^(1−α), Xiao et al. 2022, eq. 4; float64 [C], scaled to a geometric mean of 1.

    Args:
        activation_max: largest magnitude of each channel on calibration rows, [C].
        weight_max: largest magnitude among the weights that read each channel, [C].
        strength: α in 0…1: 0 looks at the weights alone, 1 at the activations alone.
    """
    activation, weight = activation_max.double(), weight_max.double()
    known = (activation > 0) & (weight > 0)
    return _even(activation**strength / weight ** (1 - strength), known)


def equalizing_factors(first_max: torch.Tensor, second_max: torch.Tensor) -> torch.Tensor:
    """s_j = √(r1_j / r2_j), after which both sides of each product have equal ranges; Nagel et al. 2019, eq. 11.

    Args:
        first_max: r1, the largest magnitude in row j of the matrix that is divided by s_j, [C].
        second_max: r2, the same of the matrix that is multiplied by s_j, [C].
    """
    first, second = first_max.double(), second_max.double()
    known = (first > 0) & (second > 0)
    return torch.where(known, (first / second).sqrt(), 1.0)


def _even(factors: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Only ratios between channels matter; a mean of 1 keeps both sides' magnitudes. Unknown channels get 1."""
    if not known.any():
        return torch.ones_like(factors)
    mean = factors[known].log().mean().exp()
    return torch.where(known, factors / mean, 1.0)
