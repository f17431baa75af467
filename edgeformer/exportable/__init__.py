"""Families whose own code no exporter can follow, or whose result depends on padding: parts of them written again.

One family, or several that share a trait, a file, with ``make_exportable``, which changes a module in place. What comes
out is compared with the family's own forward whenever a model is loaded (``mask_check``).
"""

from __future__ import annotations

from importlib import import_module

import torch

# model_type → the module beside this one; imported when such a model is loaded
EXPORTABLE: dict[str, str] = {
    "bart": "end_token",
    "bigbird_pegasus": "end_token",
    "data2vec-audio": "frame_mask",
    "deberta": "deberta",
    "deberta-v2": "deberta",
    "hubert": "frame_mask",
    "mbart": "end_token",
    "mt5": "end_token",
    "mvp": "end_token",
    "plbart": "end_token",
    "sew": "frame_mask",
    "sew-d": "frame_mask",
    "t5": "end_token",
    "umt5": "end_token",
    "unispeech": "frame_mask",
    "unispeech-sat": "frame_mask",
    "wav2vec2": "frame_mask",
    "wavlm": "frame_mask",
    "xlnet": "xlnet",
}


def make_exportable(module: torch.nn.Module) -> None:
    """Rewrite in ``module``, in place, what its family's own code would keep from being exported; else nothing."""
    model_type = getattr(getattr(module, "config", None), "model_type", "")
    if model_type in EXPORTABLE:
        import_module(f".{EXPORTABLE[model_type]}", __package__).make_exportable(module)
