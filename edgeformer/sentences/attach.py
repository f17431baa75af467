"""Putting what a sentence-transformers directory says behind its encoder."""

from __future__ import annotations

import torch

from ..errors import ModelError
from ..tasks.module import TaskOptions
from ..tasks.pooling import pooling_modes
from ..tasks.sentence_layers import SENTENCE_LAYERS, Normalize, Truncate
from .files import SentenceFiles
from .load import load_layers
from .settings import SentenceSettings


def attach_sentence_layers(
    module: torch.nn.Module,
    files: SentenceFiles | None,
    settings: SentenceSettings,
    *,
    hidden_size: int,
    pooling: str | None,
    normalize: bool | None,
    allow_pickle: bool,
) -> tuple[TaskOptions, int]:
    """The options of an embedding's task, and how many numbers the embedding has.

    Layers with weights go into ``module``, under the name ``SENTENCE_LAYERS``, where passes and exporters find them.
    ``pooling`` and ``normalize`` override what the files say; without files it is the mean, normalized.

    Raises:
        ModelError: the files name no pooling, or layers that don't fit.
    """
    if files is not None and not files.include_prompt and any(settings.prompts.values()):
        raise ModelError(
            f"{files.directory}: its Pooling leaves out the prompt (include_prompt false), and it has prompts "
            f"({', '.join(settings.prompts)}): such vectors are not compiled. Without prompts in "
            "config_sentence_transformers.json it is compiled for texts alone"
        )
    named = files.pooling if files is not None else ("mean",)
    modes = pooling_modes(pooling, "pooling") if pooling else named
    if not modes:
        where = files.directory / "modules.json" if files is not None else "model"
        raise ModelError(f"{where}: no module Pooling, so its vectors are one a token: expected a Pooling")
    width = hidden_size * len(modes)
    layers = list(files.layers) if files is not None else []
    ends_normalized = files is None or (bool(layers) and layers[-1].kind == "Normalize")
    if files is not None and ends_normalized:
        layers.pop()
    made, width = load_layers(layers, width, allow_pickle=allow_pickle)
    if normalize is not None:
        ends_normalized = normalize
    if settings.dimensions is not None and settings.dimensions < width:
        made.extend([Normalize()] if ends_normalized else []).append(Truncate(settings.dimensions))
        ends_normalized, width = False, settings.dimensions
    if len(made):
        module.add_module(SENTENCE_LAYERS, made)
    return TaskOptions(modes, ends_normalized), width
