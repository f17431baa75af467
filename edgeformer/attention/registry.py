"""How a transformers model reaches LocalAttention: an attention function of our own in its registry.

Every family that reads ``ALL_ATTENTION_FUNCTIONS`` calls it for all its layers. A layer that owns a LocalAttention
(``edgeformer_attention``) goes through that; any other attends to everything, as transformers' eager function does.
"""

from __future__ import annotations

from typing import Any

import torch

from edgeformer_converters.ops import LocalAttention

from ..errors import InputError, ModelError
from ..tasks.masks import MASKED, additive_mask

IMPLEMENTATION = "edgeformer_local"
LAYER = "edgeformer_attention"  # the name of the LocalAttention inside a family's attention module


def install(model: torch.nn.Module, layers: dict[str, LocalAttention]) -> None:
    """Put each LocalAttention into the attention module at its path, changing ``model`` in place.

    Layers that are not named keep full attention. Raises ModelError where the family doesn't use the registry.
    """
    register()
    for path, layer in layers.items():
        attention = model.get_submodule(path)
        if hasattr(attention, LAYER):
            raise ModelError(f"layer {path}: its attention is local already")
        attention.add_module(LAYER, layer.train(attention.training))
    use(model, IMPLEMENTATION)


def use(model: torch.nn.Module, implementation: str) -> None:
    """Let every attention layer of ``model`` call the function registered as ``implementation``."""
    config: Any = getattr(model, "config", None)
    if config is None or not getattr(model, "_supports_attention_backend", False):
        raise ModelError(f"{type(model).__name__} doesn't take its attention from transformers' registry")
    configs: dict[int, Any] = {id(part.config): part.config for part in model.modules() if hasattr(part, "config")}
    for held in configs.values():  # one object in most families; some keep a copy a part
        held._attn_implementation = implementation


def is_local(attention: torch.nn.Module) -> bool:
    """True for a family's attention module whose queries see a window."""
    return isinstance(getattr(attention, LAYER, None), LocalAttention)


def register() -> None:
    """Make the functions known to transformers; again is harmless."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(IMPLEMENTATION, attend)
    AttentionMaskInterface.register(IMPLEMENTATION, padding_mask)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention function: query [B, H, S, D], key and value [B, K, S, D] to [B, S, H, D].

    Attention dropout is left out in training: LocalAttention has none.
    """
    keep = kept_keys(attention_mask)
    layer = getattr(module, LAYER, None)
    if layer is not None:
        output = layer(query, key, value, keep)
    else:
        output = probabilities(module, query, key, attention_mask, scaling) @ grouped(value, query)
    return output.transpose(1, 2).contiguous(), None


def probabilities(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None,
) -> torch.Tensor:
    """Full attention's weights [B, H, S, S], as transformers' eager functions compute them."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = query @ grouped(key, query).transpose(-1, -2) * scale
    if attention_mask is not None:
        scores = scores + attention_mask
    if getattr(module, "is_causal", False):
        length = query.shape[2]
        later = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
        scores = scores.masked_fill(later, MASKED)
    return torch.softmax(scores, dim=-1)


def grouped(key_or_value: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """[B, K, S, D] to [B, H, S, D]: each key/value head as often as query heads read it."""
    shared = query.shape[1] // key_or_value.shape[1]
    return key_or_value if shared == 1 else key_or_value.repeat_interleave(shared, dim=1)


def kept_keys(attention_mask: torch.Tensor | None) -> torch.Tensor | None:
    """bool [B, S] from the additive mask [B, 1, 1, S] that TaskModule makes; None when nothing is masked.

    Raises:
        InputError: a mask that differs from query to query; LocalAttention knows which keys count, not for whom.
    """
    if attention_mask is None:
        return None
    if attention_mask.dim() != 4 or attention_mask.shape[1] != 1 or attention_mask.shape[2] != 1:
        raise InputError(
            f"local attention: mask of shape {tuple(attention_mask.shape)}, expected [batch, 1, 1, sequence]: "
            "0 where a key counts, a large negative number where it doesn't"
        )
    return attention_mask[:, 0, 0, :] > MASKED / 2


def padding_mask(
    batch_size: int, kv_length: int, attention_mask: torch.Tensor | None = None, **_: Any
) -> torch.Tensor | None:
    """transformers' mask function, for callers with a 0/1 mask [B, S]: windows and causality are the layers' own."""
    return None if attention_mask is None else additive_mask(attention_mask)
