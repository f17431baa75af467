"""Families that were trained with local attention keep their own windows.

Without this, TaskModule's mask, which only knows padding, would make them attend to everything.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import torch

# model_type → the module beside this one that makes its layers local; imported when such a model is loaded
TRAINED_LOCAL: dict[str, str] = {
    "gemma3_text": "gemma3",
    "longformer": "longformer",
    "mistral": "mistral",
    "modernbert": "modernbert",
}


def keep_windows(module: torch.nn.Module, task: str) -> tuple[torch.nn.Module, dict[str, str]]:
    """``module``, just loaded for ``task``, with LocalAttention where its family attends locally.

    Returns:
        The module, changed in place, and for each local layer's path what its window is; nothing for other families.

    Raises:
        ModelError: the family's attention can't be expressed exactly for this task; the message names what can't.
    """
    model_type = getattr(getattr(module, "config", None), "model_type", "")
    if model_type not in TRAINED_LOCAL:
        return module, {}
    family = import_module(f".{TRAINED_LOCAL[model_type]}", __package__)
    make_local: Callable[[torch.nn.Module, str], dict[str, str]] = family.make_local
    return module, make_local(module, task)
