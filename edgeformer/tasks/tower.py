"""One tower of a model of two, as the module that an exporter sees."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch.nn import functional as F

# what the names of a tower's parts begin with, in the families of transformers
_PARTS = {"image": ("vision", "visual"), "text": ("text",)}


class Tower(torch.nn.Module):
    """The vectors [B, D], of length 1, that a family's ``get_image_features`` or ``get_text_features`` gives.

    It holds the parts of its own tower alone, so that nothing of the other gets into a file.
    """

    def __init__(self, model: torch.nn.Module, kind: str, input_names: Sequence[str]) -> None:
        super().__init__()
        self.model = copy.copy(model)  # the parts are shared, not copied
        others = tuple(name for other, names in _PARTS.items() if other != kind for name in names)
        self.model._modules = {key: part for key, part in model._modules.items() if not key.startswith(others)}
        self.model._parameters = {}  # the scale and bias of the comparison, which the device computes
        self.features = f"get_{kind}_features"
        self.input_names = tuple(input_names)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Tensors in the order of ``input_names`` to the vectors [B, D]."""
        result = getattr(self.model, self.features)(**dict(zip(self.input_names, tensors, strict=True)))
        return (F.normalize(result.pooler_output, dim=-1),)
