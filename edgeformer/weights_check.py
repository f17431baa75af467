"""Weights that hold NaN or infinity are found when a model is loaded; later they look like other faults, or none."""

from __future__ import annotations

import torch

from .errors import ModelError
from .model import Model


def check_finite(model: Model) -> None:
    """Raise ModelError naming the first parameter or buffer with a number that is none."""
    for name, tensor in (*model.module.named_parameters(), *model.module.named_buffers()):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = torch.nonzero(~torch.isfinite(tensor))
            first = ", ".join(map(str, bad[0].tolist()))
            raise ModelError(
                f"model {model.name}: {name} holds NaN or infinity in {len(bad)} of {tensor.numel()} places, the first "
                f"at [{first}]: expected finite weights. The training that made them diverged, or the file is damaged"
            )
