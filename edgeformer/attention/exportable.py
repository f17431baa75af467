"""Families whose own code no exporter can follow: parts of them are written again, with equal values."""

from __future__ import annotations

from importlib import import_module

import torch

# model_type → the module beside this one with ``make_exportable``; imported when such a model is loaded
EXPORTABLE: dict[str, str] = {"deberta": "deberta", "deberta-v2": "deberta"}


def make_exportable(module: torch.nn.Module) -> None:
    """Rewrite in ``module``, in place, what its family's own code would keep from being exported; else nothing."""
    model_type = getattr(getattr(module, "config", None), "model_type", "")
    if model_type in EXPORTABLE:
        import_module(f".{EXPORTABLE[model_type]}", __package__).make_exportable(module)
