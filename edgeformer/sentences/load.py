"""From the files of the modules behind a pooling to torch modules with their weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import MissingWeightsError, ModelError
from ..tasks.sentence_layers import Dense, LayerNorm, Normalize, activation_named
from .files import LayerFiles

# what sentence-transformers takes where a Dense's config names none
_DEFAULT_ACTIVATION = "torch.nn.modules.activation.Tanh"


def load_layers(layers: Sequence[LayerFiles], width: int, *, allow_pickle: bool) -> tuple[torch.nn.Sequential, int]:
    """The layers in float32, for vectors of ``width`` numbers, and how many numbers come out of them.

    Raises:
        ModelError: a size that doesn't fit, weights that are missing, damaged or a pickle (without ``allow_pickle``).
    """
    made = torch.nn.Sequential()
    for layer in layers:
        module = _made(layer, width)
        if layer.kind != "Normalize":
            _fill(module, _weights(layer.directory, allow_pickle), layer.directory)
        made.append(module)
        with torch.no_grad():
            width = int(module(torch.zeros(1, width)).shape[-1])
    return made.eval().requires_grad_(False), width


def _made(layer: LayerFiles, width: int) -> torch.nn.Module:
    where = str(layer.directory / "config.json")
    if layer.kind == "Normalize":
        return Normalize()
    if layer.kind == "LayerNorm":
        _same_width(_size(layer, "dimension"), width, where, "dimension")
        return LayerNorm(width)
    _same_width(_size(layer, "in_features"), width, where, "in_features")
    return Dense(
        in_features=width,
        out_features=_size(layer, "out_features"),
        bias=layer.config.get("bias", True) is not False,
        activation=activation_named(str(layer.config.get("activation_function", _DEFAULT_ACTIVATION)), where),
        residual=layer.config.get("use_residual", False) is True,
    )


def _size(layer: LayerFiles, key: str) -> int:
    value = layer.config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelError(f"{layer.directory / 'config.json'}: {key} {value!r}: expected a number of at least 1")
    return value


def _same_width(stated: int, width: int, where: str, key: str) -> None:
    if stated != width:
        raise ModelError(f"{where}: {key} {stated}: what comes before it makes vectors of {width} numbers")


def _weights(directory: Path, allow_pickle: bool) -> dict[str, torch.Tensor]:
    path, pickle = directory / "model.safetensors", directory / "pytorch_model.bin"
    if path.is_file():
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path}: damaged or truncated safetensors file: {error}. Fetch it again") from error
    if not pickle.is_file():
        raise MissingWeightsError(f"{directory}: no model.safetensors there")
    if not allow_pickle:
        raise ModelError(
            f"{pickle}: its weights are a pickle, which can run code when it is opened. Save it with safetensors, or "
            "pass --allow-pickle (it is then read with weights_only)"
        )
    try:
        loaded: dict[str, torch.Tensor] = torch.load(pickle, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"{pickle}: can't be read with weights_only: {first}") from error
    return loaded


def _fill(module: torch.nn.Module, tensors: dict[str, Any], directory: Path) -> None:
    """Every parameter from the file, each of its tensors used."""
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != found:
        name = next(name for name in (*wanted, *found) if wanted.get(name) != found.get(name))
        raise ModelError(
            f"{directory}: tensor {name!r}: config.json makes its shape {_shape(wanted, name)}, the weights' file has "
            f"{_shape(found, name)}"
        )
    module.load_state_dict({name: tensor.to(torch.float32) for name, tensor in tensors.items()})


def _shape(shapes: dict[str, tuple[int, ...]], name: str) -> str:
    return str(list(shapes[name])) if name in shapes else "none of that name"
