"""Families whose own code no exporter can follow, or whose result depends on padding: parts of them written again.

One family, or several that share a trait, a file, with ``make_exportable``, which changes a module in place, listed in
``EXPORTABLE``. What comes out is compared with the family's own forward whenever a model is loaded (``mask_check``; for
pictures and sounds ``file_model.check_equal``). Families of images say in edgeformer/families which file is theirs; its
``make_exportable`` takes the image's height and width, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import torch

from ..families import architecture_for

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


def make_exportable(module: torch.nn.Module, image_size: tuple[int, int] | None = None) -> None:
    """Rewrite in ``module``, in place, what its family's own code would keep from being exported; else nothing.

    Args:
        module: a model of transformers.
        image_size: height and width of the images that it will get; None is what its config says.

    Raises:
        ModelError: the family can't take images of that size.
    """
    config = getattr(module, "config", None)
    model_type = getattr(config, "model_type", "")
    if model_type in EXPORTABLE:
        import_module(f".{EXPORTABLE[model_type]}", __package__).make_exportable(module)
    rewritten_by = architecture_for(model_type).images
    if rewritten_by is not None:
        height, width = image_size or configured_size(config)
        import_module(f".{rewritten_by}", __package__).make_exportable(module, height, width)
        module.train(module.training)  # new parts are as the whole is


def configured_size(config: Any) -> tuple[int, int]:
    """Height and width that a config of transformers states; (0, 0) for a text tower's."""
    size = getattr(getattr(config, "vision_config", config), "image_size", 0)
    if isinstance(size, Iterable):
        height, width = size
        return int(height), int(width)
    return int(size), int(size)
