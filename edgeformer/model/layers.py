"""The layers of a module whose weights are matrices or tables: what quantization, pruning and profiles speak of."""

from __future__ import annotations

import torch


def quantizable_layers(module: torch.nn.Module, *, every_path: bool = False) -> dict[str, torch.nn.Module]:
    """Linears and embeddings by path. A layer that occurs twice (tied) is listed once, unless ``every_path``."""
    return {
        path: layer
        for path, layer in module.named_modules(remove_duplicate=not every_path)
        if type(layer) in (torch.nn.Linear, torch.nn.Embedding)
    }
