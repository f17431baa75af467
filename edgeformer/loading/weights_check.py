"""Weights that hold NaN or infinity, or came from no file, are refused: later they look like other faults, or none."""

from __future__ import annotations

import torch

from ..errors import ModelError
from ..model.base import Model
from ..model.weight_names import grouped_text
from .checkpoint import is_head


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


def refuse_untrained(model: Model) -> None:
    """Raise ModelError when parameters came from no file: they are random, and would be published."""
    if not model.untrained:
        return
    trained = set(model.module.state_dict()) - model.untrained
    which = grouped_text(model.untrained, trained)
    encoder = [name for name in model.untrained if not is_head(model.module, name)]
    if not trained:
        which = f"all {len(model.untrained)} tensors of {type(model.module).__name__}, such as {min(model.untrained)}"
    advice = (
        "Give the config.json and the weights that were saved together"
        if encoder
        else "Give the adapter that holds the trained head (--adapter), or a model saved with its head"
    )
    said = f" ({'; '.join(model.notes)})" if model.notes else ""
    raise ModelError(f"model {model.name}: in no file, so they would be random: {which}{said}. {advice}")
