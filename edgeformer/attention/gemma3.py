"""Gemma 3 (Gemma Team 2025, section 2): five layers of ``sliding_window`` keys to one that sees everything.

``use_bidirectional_attention`` makes encoders of it: then a token sees as many keys after itself as before.
"""

from __future__ import annotations

import torch
from transformers.models.gemma3.modeling_gemma3 import Gemma3Attention

from edgeformer_converters.ops import LocalAttention, LocalPattern

from ..errors import ModelError
from .registry import install


def make_local(module: torch.nn.Module, task: str) -> dict[str, str]:
    """Give every sliding layer its window, in place; the others stay full, causal unless the model is an encoder."""
    layers: dict[str, LocalAttention] = {}
    for path, part in module.named_modules():
        if not isinstance(part, Gemma3Attention):
            continue
        config = part.config
        if config.attn_logit_softcapping is not None:
            raise ModelError(
                f"layer {path}: attn_logit_softcapping is {config.attn_logit_softcapping}: scores that are capped "
                "before the softmax are not supported; expected null, as in Gemma 3's own checkpoints"
            )
        if part.sliding_window is None:
            continue
        reach = int(part.sliding_window) - 1
        layers[path] = LocalAttention(
            LocalPattern(reach, 0, causal=True) if part.is_causal else LocalPattern.radius(reach),
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_dim=part.head_dim,
            scale=part.scaling,
        )
    module.config.use_cache = False  # type: ignore[union-attr]  # a cache of keys is for generation
    install(module, layers)
    return {path: str(layer.pattern) for path, layer in layers.items()}
