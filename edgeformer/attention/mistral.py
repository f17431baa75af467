"""Mistral (Jiang et al. 2023, section 2): each token sees itself and the ``sliding_window`` - 1 tokens before it."""

from __future__ import annotations

import torch
from transformers.models.mistral.modeling_mistral import MistralAttention

from edgeformer_converters.ops import LocalAttention, LocalPattern

from .registry import install


def make_local(module: torch.nn.Module, task: str) -> dict[str, str]:
    """Give every layer its causal window, in place; with ``sliding_window`` null all stay causal and full."""
    layers: dict[str, LocalAttention] = {}
    for path, part in module.named_modules():
        if isinstance(part, MistralAttention) and part.config.sliding_window is not None:
            config = part.config
            layers[path] = LocalAttention(
                LocalPattern(int(config.sliding_window) - 1, 0, causal=True),
                heads=config.num_attention_heads,
                kv_heads=config.num_key_value_heads,
                head_dim=part.head_dim,
                scale=part.scaling,
            )
    module.config.use_cache = False  # type: ignore[union-attr]  # a cache of keys is for generation
    install(module, layers)
    return {path: str(layer.pattern) for path, layer in layers.items()}
