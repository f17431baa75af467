"""wav2vec2 and its kin: which frames a sound's samples reach, by comparison and not by a write at a computed place.

transformers puts a 1 at each row's last frame and sums from behind; writes at places that depend on the values are no
operator of every engine.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch

_METHOD = "_get_feature_vector_attention_mask"


def make_exportable(module: torch.nn.Module) -> None:
    """Give every part of ``module`` that makes a mask of frames another way to make the same."""
    for part in module.modules():
        if hasattr(type(part), _METHOD):
            # an instance's attribute: transformers looks up by class which hidden states a model can return
            part.__dict__[_METHOD] = MethodType(_frame_mask, part)


def _frame_mask(self: Any, frames: int, attention_mask: torch.Tensor, **more: Any) -> torch.Tensor:
    """0/1 [B, samples] to bool [B, frames]; a row has at least one frame."""
    lengths = self._get_feat_extract_output_lengths(attention_mask.sum(-1), **more).to(torch.long)
    places = torch.arange(frames, device=attention_mask.device)
    found: torch.Tensor = places[None, :] < lengths.clamp(min=1)[:, None]
    return found
