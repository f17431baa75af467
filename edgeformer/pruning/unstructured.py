"""Zeros in linears, any or N of M: what is common to ``prune_unstructured`` and ``prune_n_m``.

Legend: R rows (outputs) and C columns (inputs) of a linear's weight [R, C].
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from edgeformer_converters.ops import QuantizedLinear, WeightFormat

from ..context import PassContext, Tensors
from ..data.batching import padded_batches
from ..errors import InputError, RecipeError
from ..families import ROLES, architecture_for
from ..model.base import Model
from ..probing.activations import input_statistics
from ..quantization import rtn

CRITERIA = ("magnitude", "wanda")
BY_INPUTS = frozenset({"wanda"})  # these weigh by a layer's inputs on calibration rows
PRUNABLE_ROLES = tuple(role for role in ROLES if role != "embedding")
# fewer rows say too little of what a layer sees
MIN_ROWS = 8
_ZLIB_LEVEL = 1  # the fastest: a bundle's .zip (level 6) is up to a twentieth smaller
EFFECT = (
    "Zeros are stored like any other number, so the file shrinks only when it is compressed (a .zip bundle, an app "
    "package), and no engine here runs faster for them."
)


def check_settings(user: str, importance: str, roles: Sequence[str]) -> None:
    """Raise RecipeError for an unknown criterion or role."""
    if importance not in CRITERIA:
        raise RecipeError(f"{user}: importance = {importance!r}: expected one of {', '.join(CRITERIA)}")
    wrong = [role for role in roles if role not in PRUNABLE_ROLES]
    if wrong or not roles:
        shown = repr(wrong[0]) if wrong else "none"
        raise RecipeError(f"{user}: roles: {shown}: expected some of {', '.join(PRUNABLE_ROLES)}")


def prunable_linears(model: Model, user: str, roles: Sequence[str]) -> dict[str, torch.nn.Linear]:
    """The linears of these roles by path; two that share one weight are listed once.

    Raises:
        RecipeError: one of them is quantized already.
        InputError: NaN or infinite weights, or none has such a role.
    """
    architecture = architecture_for(model.architecture)
    found: dict[str, torch.nn.Linear] = {}
    seen: set[int] = set()
    for path, layer in model.module.named_modules():
        if architecture.role(path) not in roles:
            continue
        if isinstance(layer, QuantizedLinear):
            raise RecipeError(f"layer {path} is already quantized: put {user} before quantize")
        if type(layer) is not torch.nn.Linear or id(layer.weight) in seen:
            continue
        if not torch.isfinite(layer.weight).all():
            raise InputError(f"layer {path}: NaN or infinite weights: check the model")
        seen.add(id(layer.weight))
        found[path] = layer
    if not found:
        raise InputError(f"{user}: model {model.name} has no linear of the roles {', '.join(roles)}")
    return found


def scores(
    model: Model, linears: Mapping[str, torch.nn.Linear], importance: str, user: str, context: PassContext
) -> dict[str, torch.Tensor]:
    """How much each weight matters, float64 [R, C] a layer.

    magnitude: |w|. wanda: |w|·‖x‖₂ (Sun 2023, eq. 1), x the weight's input over all tokens of the calibration rows.
    """
    magnitudes = {path: layer.weight.detach().double().abs() for path, layer in linears.items()}
    if importance not in BY_INPUTS:
        return magnitudes
    norms = _input_norms(model, list(linears), f"{user} with importance {importance}", context)
    return {path: magnitudes[path] * norms[path] for path in linears}


def _input_norms(model: Model, paths: list[str], user: str, context: PassContext) -> Tensors:
    rows = context.calibration(model, user, MIN_ROWS)

    def make() -> tuple[Tensors, Mapping[str, Any]]:
        statistics = input_statistics(model, padded_batches(model, rows), paths)
        return {path: (s.count * s.square_mean).sqrt() for path, s in statistics.items()}, {}

    key = {"model": model.digest(), "rows": rows.digest(), "paths": paths}
    return context.kept("input norms", key, make)[0]


def smallest(values: torch.Tensor, count: int) -> torch.Tensor:
    """bool like ``values``, True at the ``count`` smallest of each row; of equal values the first."""
    order = values.argsort(dim=-1, stable=True)[..., :count]
    return torch.zeros_like(values, dtype=torch.bool).scatter_(-1, order, True)


def with_zeros(model: Model, removed: Mapping[str, torch.Tensor]) -> tuple[Model, bool]:
    """A copy with zeros where ``removed`` (bool [R, C] by path) is True, and whether any weight changed."""
    module = model.copy_module()
    changed = False
    with torch.no_grad():
        for path, mask in removed.items():
            weight = module.get_submodule(path).weight
            changed |= bool((weight[mask] != 0).any())  # type: ignore[index]
            weight.masked_fill_(mask, 0.0)  # type: ignore[operator]
    return (model.with_module(module), True) if changed else (model, False)


def sparsity_facts(before: Model, after: Model, paths: Sequence[str]) -> dict[str, Any]:
    """Share of zeros a layer, what they are good for, and the measured sizes of the layers' weights.

    ``compressed_bytes`` are zlib's at its fastest level: of the float32 weights, and of their int8 integers (rounded
    to nearest, a scale a row).
    """
    weights = {name: [_weight(model, path) for path in paths] for name, model in (("before", before), ("after", after))}
    zeros = [float((weight == 0).float().mean()) for weight in weights["after"]]
    total = sum(weight.numel() for weight in weights["after"])
    return {
        "effect": EFFECT,
        "layers": {path: round(share, 6) for path, share in zip(paths, zeros, strict=True)},
        "sparsity": sum(int((weight == 0).sum()) for weight in weights["after"]) / total,
        "stored_bytes": {"float32": 4 * total, "int8": total},
        "compressed_bytes": {
            "float32": {name: _compressed(tensors, integers=False) for name, tensors in weights.items()},
            "int8": {name: _compressed(tensors, integers=True) for name, tensors in weights.items()},
        },
    }


def _weight(model: Model, path: str) -> torch.Tensor:
    weight: torch.Tensor = model.module.get_submodule(path).weight  # type: ignore[assignment]
    return weight.detach()


def _compressed(weights: Sequence[torch.Tensor], *, integers: bool) -> int:
    arrays = (weight.float().numpy() for weight in weights)
    stored = (rtn.quantize(array, WeightFormat.parse("int8")).integers if integers else array for array in arrays)
    return sum(len(zlib.compress(array.tobytes(), _ZLIB_LEVEL)) for array in stored)
