"""Weights: which files of a model directory hold them, and how they come into a torch module.

Weights are read from safetensors. A pickle runs code when it is opened carelessly, so it is refused unless asked for,
and then read with torch's ``weights_only``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from .errors import MissingWeightsError, ModelError
from .heads import AUTO_CLASSES
from .model_files import read_json


@dataclass(frozen=True)
class Checkpoint:
    """A module with the weights of a directory; ``untrained`` names parameters that no file provided."""

    module: torch.nn.Module
    untrained: frozenset[str]


def check_weights(directory: Path, *, allow_pickle: bool) -> None:
    """Refuse missing, truncated or pickled weights before anything heavy is imported.

    Raises:
        MissingWeightsError: no weights at all.
        ModelError: a pickle without ``allow_pickle``, or a damaged safetensors file.
    """
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted(set(read_json(index).get("weight_map", {}).values()))
        files = [directory / shard for shard in shards]
    else:
        files = [directory / "model.safetensors"]
    if any(path.is_file() for path in files):
        for path in files:
            _check_safetensors(path)
        return
    pickles = sorted(path.name for path in directory.glob("*.bin"))
    if not pickles:
        raise MissingWeightsError(f"model {directory}: no model.safetensors there, nor an index of shards")
    if not allow_pickle:
        raise ModelError(
            f"model {directory}: its weights are a pickle ({pickles[0]}), which can run code when it is opened. "
            "Save it with safetensors, or pass --allow-pickle (it is then read with weights_only)"
        )


def _check_safetensors(path: Path) -> None:
    if not path.is_file():
        raise MissingWeightsError(f"{path}: the index names this shard, but it isn't there")
    try:
        with safe_open(str(path), framework="np") as tensors:
            names = list(tensors.keys())
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: damaged or truncated safetensors file: {error}. Fetch it again") from error
    if not names:
        raise ModelError(f"{path}: holds no tensors")


def load_checkpoint(path: Path, task: str, labels: tuple[str, ...], allow_pickle: bool) -> Checkpoint:
    """The directory's weights in transformers' class for ``task``, in float32, for inference.

    Raises:
        ModelError: transformers can't load it.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    extra: dict[str, Any] = {"num_labels": len(labels)} if labels and "classification" in task else {}
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
            **extra,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"model {path}: transformers can't load it for {task}: {first}") from error
    if task == "feature-extraction" and getattr(module, "pooler", None) is not None:
        module.pooler = None  # its output is not among the embeddings, so it would only cost bytes
    mismatched = {entry[0] if isinstance(entry, tuple) else entry for entry in info.get("mismatched_keys") or ()}
    names = set(module.state_dict())
    untrained = frozenset((set(info.get("missing_keys") or ()) | mismatched) & names)
    return Checkpoint(module.eval().requires_grad_(False), untrained)
