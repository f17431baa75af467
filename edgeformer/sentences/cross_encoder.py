"""Cross-encoders: rerankers and pair classifiers whose scores are an activation of their head's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..errors import ModelError
from .files import read_sentence_files
from .settings import SentenceSettings, is_cross_encoder, read_settings

_OLDER_NAME = "sbert_ce_default_activation_function"
_ACTIVATIONS = {"Identity": None, "Sigmoid": "sigmoid", "Tanh": "tanh", "Softmax": "softmax"}


def read_cross_encoder(directory: Path, encoder: Path) -> SentenceSettings:
    """The settings of a cross-encoder that has them in files of sentence-transformers; else what holds without any.

    Raises:
        ModelError: modules behind its head, by name.
    """
    if not is_cross_encoder(directory):
        return SentenceSettings()
    files = read_sentence_files(directory)
    if files is not None and (files.pooling or files.layers):
        more = ", ".join((["Pooling"] if files.pooling else []) + [layer.kind for layer in files.layers])
        raise ModelError(f"{directory / 'modules.json'}: a cross-encoder with {more}: expected its Transformer alone")
    return read_settings(directory, encoder)


def says_cross_encoder(config: Mapping[str, Any], settings: SentenceSettings) -> bool:
    """Whether the files say that a classifier is a cross-encoder, which reads pairs.

    They do by a ``model_type``, or an activation in config.json (newer releases under ``sentence_transformers``, older
    as ``sbert_ce_default_activation_function``).
    """
    newer = isinstance(config.get("sentence_transformers"), Mapping)
    return bool(settings.cross_encoder or settings.activation or newer or config.get(_OLDER_NAME))


def with_activation(
    task: TaskSpec, config: Mapping[str, Any], settings: SentenceSettings, where: str
) -> tuple[TaskSpec, tuple[str, ...]]:
    """The task with the activation that ``CrossEncoder.predict`` puts on the head's outputs, and notes on it.

    Where ``says_cross_encoder`` and no name is given it is sentence-transformers' default: Sigmoid for one output,
    Identity for several.

    Raises:
        ModelError: an activation that isn't known here, by name.
    """
    newer = config.get("sentence_transformers")
    named = [
        settings.activation,
        newer.get("activation_fn") if isinstance(newer, Mapping) else None,
        config.get(_OLDER_NAME),
    ]
    path = next((str(name) for name in named if name), None)
    if task.name != "text-classification" or not says_cross_encoder(config, settings):
        return task, ()
    if path is None:
        path = "torch.nn.Sigmoid" if task.regression else "torch.nn.Identity"
    name = path.rpartition(".")[2]
    allowed = ("Identity", "Sigmoid", "Tanh") if task.regression else ("Identity", "Sigmoid", "Softmax")
    if name not in allowed or not path.startswith("torch.nn."):
        raise ModelError(f"{where}: a cross-encoder's activation {path!r}: expected torch.nn's {', '.join(allowed)}")
    if name == "Identity" and not task.regression:
        note = (
            "a cross-encoder with several outputs and Identity: predictions are their softmax, as "
            "CrossEncoder.predict(apply_softmax=True) gives; Session.run gives the outputs themselves"
        )
        return task, (note,)
    return replace(task, activation=_ACTIVATIONS[name]), (f"a cross-encoder: its scores are {name} of the outputs",)
