"""CLIP: images as in other encoders; a text's state is taken at its first end token without indexing by rows."""

from __future__ import annotations

from typing import Any

import torch

from .gather import at_position, first_position
from .vision import fix_images


def make_exportable(module: torch.nn.Module, height: int, width: int) -> None:
    """Rewrite ``module``, in place, for images of ``height`` × ``width``; raises ModelError for sizes it can't take."""
    fix_images(module, height, width)
    for part in list(module.modules()):
        kind = type(part)
        if kind.__name__ == "CLIPTextModel":
            if kind not in _CLASSES:
                _CLASSES[kind] = type(f"EndToken{kind.__name__}", (_AtEndToken, kind), {})
            part.__class__ = _CLASSES[kind]


class _AtEndToken(torch.nn.Module):
    eos_token_id: int

    def forward(self, input_ids: torch.Tensor, **kwargs: Any) -> Any:
        """int64 [B, S] to the family's outputs, of which ``pooler_output`` [B, E] is computed anew."""
        result = super().forward(input_ids=input_ids, **kwargs)
        if self.eos_token_id == 2:  # configs before transformers 4.31 say so wrongly: the end token has the largest id
            found = input_ids == input_ids.amax(dim=1, keepdim=True)
        else:
            found = input_ids == self.eos_token_id
        result.pooler_output = at_position(result.last_hidden_state, first_position(found))
        return result


_CLASSES: dict[type, type] = {}
