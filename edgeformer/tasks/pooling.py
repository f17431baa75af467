"""Poolings: from hidden states of tokens to one vector a text, as sentence-transformers defines them.

All but ``max`` are weighted sums over the sequence, written without gathers, so that every exporter takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch

from ..errors import ModelError

PoolingMode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
# in the order in which sentence-transformers concatenates the flags of its older configs
POOLING_MODES: tuple[PoolingMode, ...] = get_args(PoolingMode)

# below every hidden state, and inside float16's range
_LOWEST = -30000.0


def pooling_modes(names: str | Sequence[str], where: str) -> tuple[PoolingMode, ...]:
    """``names`` as checked modes; one text may join several by "+" ("cls+mean"). Raises ModelError naming a wrong one.

    ``where`` begins the message.
    """
    given = names.split("+") if isinstance(names, str) else list(names)
    wrong = [name for name in given if name not in POOLING_MODES]
    if wrong or not given:
        named = ", ".join(map(repr, wrong)) or "of nothing"
        raise ModelError(f"{where}: pooling {named}: expected some of {', '.join(POOLING_MODES)}")
    return tuple(mode for name in given for mode in POOLING_MODES if mode == name)


def pool(hidden: torch.Tensor, mask: torch.Tensor, modes: Sequence[PoolingMode]) -> torch.Tensor:
    """[batch, sequence, hidden] to [batch, hidden · modes]; the poolings one behind the other.

    ``mask`` is 0/1 [batch, sequence], with padding on the right; padding doesn't count.
    """
    kept = mask[:, :, None].to(hidden.dtype)
    pooled = [_pooled(hidden, kept, mode) for mode in modes]
    return pooled[0] if len(pooled) == 1 else torch.cat(pooled, dim=-1)


def _pooled(hidden: torch.Tensor, kept: torch.Tensor, mode: PoolingMode) -> torch.Tensor:
    """``kept``: the mask as floats [batch, sequence, 1]."""
    if mode == "cls":
        return hidden[:, 0]
    if mode == "max":
        return (hidden * kept + (1.0 - kept) * _LOWEST).amax(1)
    if mode == "lasttoken":  # kept, and the next one isn't
        following = torch.cat((kept[:, 1:], torch.zeros_like(kept[:, :1])), dim=1)
        return (hidden * (kept * (1.0 - following))).sum(1)
    if mode == "weightedmean":
        kept = kept * kept.cumsum(1)  # the first token counts once, the second twice …
    total = (hidden * kept).sum(1)
    length = kept.sum(1).clamp(min=1e-9)
    return total / (length.sqrt() if mode == "mean_sqrt_len_tokens" else length)
