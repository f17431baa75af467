"""Attention masks as families take them: 0/1 comes in, additive float32 goes to the attention.

Legend: B rows, S positions.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch

# What a family gets for its mask: "keys" additive [B, 1, 1, S], "causal" additive [B, 1, S, S], "own" the 0/1 [B, S],
# of which it makes its own
MaskForm = Literal["keys", "causal", "own"]
MASK_FORMS: tuple[MaskForm, ...] = get_args(MaskForm)

# Far below any attention score, inside float16's range, and exp() of it is exactly 0 in float32: a masked key gets no
# weight and no denormal slows the softmax.
MASKED = -10000.0


def additive_mask(attention_mask: torch.Tensor) -> torch.Tensor:
    """0/1 [batch, sequence] to float32 [batch, 1, 1, sequence]: 0 where a key counts, ``MASKED`` where it doesn't."""
    keep = attention_mask[:, None, None, :].to(torch.float32)
    return (1.0 - keep) * MASKED


def causal_mask(attention_mask: torch.Tensor) -> torch.Tensor:
    """0/1 [batch, sequence] to float32 [batch, 1, sequence, sequence]: ``additive_mask``, and no later key counts."""
    length = attention_mask.shape[1]
    position = torch.arange(length, device=attention_mask.device)
    later = (position[None, :] > position[:, None]).to(torch.float32)
    return torch.clamp(additive_mask(attention_mask) + later[None, None] * MASKED, min=MASKED)


def masked_for(form: MaskForm, attention_mask: torch.Tensor) -> torch.Tensor:
    """The 0/1 mask [batch, sequence] in the form that a family takes."""
    if form == "own":
        return attention_mask
    return causal_mask(attention_mask) if form == "causal" else additive_mask(attention_mask)
