"""The weights of a model directory in a torch module of transformers, and what of them found no place.

Weights are read from safetensors. A pickle runs code when it is opened carelessly, so it is refused unless asked for,
and then read with torch's ``weights_only``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgeformer_runtime.bundle.manifest import TaskSpec
from edgeformer_runtime.foreign import first_line

from ..errors import ModelError
from ..model.weight_names import grouped_text, renaming
from ..tasks import get_task
from .heads import AUTO_CLASSES

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A module with the weights of a directory, in float32, for inference.

    ``untrained`` names parameters that no file provided, ``unused`` the file's tensors that the module has no place
    for. ``head_width`` is the number of outputs that the file's head has, where that isn't what was asked for; the head
    is then untrained.
    """

    module: torch.nn.Module
    untrained: frozenset[str]
    unused: frozenset[str]
    head_width: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Loaded:
    """What transformers says of one attempt."""

    module: torch.nn.Module
    missing: frozenset[str]
    unused: frozenset[str]
    mismatched: Mapping[str, tuple[Shape, Shape]]  # the file's shape, the module's

    @property
    def names(self) -> set[str]:
        return set(self.module.state_dict())


def load_checkpoint(path: Path, task: str, width: int | None, allow_pickle: bool) -> Checkpoint:
    """The directory's weights in transformers' class for ``task``.

    Args:
        path: a directory whose files were checked (``check_weights``).
        task: one of ``AUTO_CLASSES``.
        width: how many outputs the head shall have; None leaves it to config.json.
        allow_pickle: read .bin files, with weights_only.

    Raises:
        ModelError: transformers can't load it, or config.json describes another model than the file holds.
    """
    loaded = _load(path, task, width, allow_pickle)
    notes: list[str] = []
    found = renaming(loaded.unused, loaded.missing, len(loaded.names), _base_prefix(loaded.module), path.name)
    if found is not None:
        notes.append(f"names in the file: {found.words}, as a wrapper put it there")
        loaded = _load(path, task, width, allow_pickle, found.patterns)
    _refuse_another_models_weights(path, loaded)
    if loaded.unused:
        notes.append(f"in the file but not used: {grouped_text(loaded.unused, loaded.names)}")
    if task == "feature-extraction" and getattr(loaded.module, "pooler", None) is not None:
        loaded.module.register_module(
            "pooler", None
        )  # its output is not among the embeddings, so it would only cost bytes
    return Checkpoint(
        module=loaded.module.eval().requires_grad_(False),
        untrained=(loaded.missing | frozenset(loaded.mismatched)) & loaded.names,
        unused=loaded.unused,
        head_width=_head_width(path, loaded),
        notes=tuple(notes),
    )


def _load(
    path: Path, task: str, width: int | None, allow_pickle: bool, key_mapping: Mapping[str, str] | None = None
) -> _Loaded:
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    extra: dict[str, Any] = {"num_labels": width} if width and get_task(TaskSpec(task)).labels_of_head else {}
    try:
        module, info = getattr(transformers, AUTO_CLASSES[task]).from_pretrained(
            path,
            attn_implementation="eager",
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=None if allow_pickle else True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            key_mapping=dict(key_mapping) if key_mapping else None,
            **extra,
        )
    except Exception as error:  # each family's config and model code raises whatever it meets
        kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
        raise ModelError(f"model {path}: transformers can't load it for {task}: {kind}{first_line(error)}") from error
    sizes = {name: (tuple(found), tuple(wanted)) for name, found, wanted in info.get("mismatched_keys") or ()}
    return _Loaded(
        module, frozenset(info.get("missing_keys") or ()), frozenset(info.get("unexpected_keys") or ()), sizes
    )


def is_head(module: torch.nn.Module, name: str) -> bool:
    """Whether the parameter ``name`` lies outside the encoder that the class of ``module`` is built upon."""
    prefix = _base_prefix(module)
    return bool(prefix) and not name.startswith(prefix)


def _base_prefix(module: torch.nn.Module) -> str:
    """What the encoder's names begin with ("bert."); "" where the module is the encoder."""
    prefix = str(getattr(module, "base_model_prefix", ""))
    return f"{prefix}." if prefix and hasattr(module, prefix) else ""


def _head_width(path: Path, loaded: _Loaded) -> int | None:
    """The file's number of outputs, where the module's head has another; other differences are refused."""
    widths = {found[0] for found, wanted in loaded.mismatched.values() if found and found[0] != wanted[0]}
    for name, (found, wanted) in loaded.mismatched.items():
        if not is_head(loaded.module, name) or found[1:] != wanted[1:] or len(widths) != 1:
            raise ModelError(
                f"model {path}: {name} is {list(found)} in the file, but {list(wanted)} by config.json"
                f"{_said_by(loaded.module, found, wanted)}. Give the config.json that was saved with these weights"
            )
    return widths.pop() if widths else None


def _said_by(module: torch.nn.Module, found: Shape, wanted: Shape) -> str:
    """The settings that made the module's sizes differ: " (vocab_size is 100, not 264)"."""
    settings: Any = getattr(module, "config", None)
    table: Mapping[str, Any] = settings.to_dict() if settings is not None else {}
    differ = [(a, b) for a, b in zip(found, wanted, strict=False) if a != b]
    sizes = {key: value for key, value in table.items() if isinstance(value, int) and not isinstance(value, bool)}
    keys = [f"{key} is {b}, not {a}" for a, b in differ for key, value in sizes.items() if value == b]
    return f" ({' or '.join(keys[:2])})" if keys else ""


def _refuse_another_models_weights(path: Path, loaded: _Loaded) -> None:
    lora = sorted(name for name in loaded.unused if ".lora_A." in name or ".lora_B." in name)
    if lora:
        raise ModelError(
            f"model {path}: its file holds a LoRA adapter that isn't merged ({lora[0]} and {len(lora) - 1} more). "
            "Save it after merge_and_unload(), or give the base model and the adapter (--adapter) apart"
        )
    layers = {re.sub(r"\.\d+\.", ".0.", name) for name in loaded.names if re.search(r"\.\d+\.", name)}
    more = [name for name in loaded.unused if re.search(r"\.\d+\.", name) and re.sub(r"\.\d+\.", ".0.", name) in layers]
    if more:
        raise ModelError(
            f"model {path}: the file holds more layers than config.json says: {grouped_text(more, loaded.names)} would "
            "be left out. Give the config.json that was saved with these weights; a shortened model must be saved "
            "with save_pretrained"
        )
