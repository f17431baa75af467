"""Choosing the integers of a whole model, layer after layer, and keeping them as tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgeformer_converters.ops import IntegerWeight, QuantizedEmbedding, QuantizedLinear, WeightFormat

from ..data.batching import Batch
from ..errors import InputError
from ..model.base import Model
from ..probing.activations import InputStatistics
from ..probing.layer_inputs import Statistics, blocks_in_a_chain, by_block, one_shot, running_order
from ..terminal.countdown import Countdown
from . import NEEDS_INPUTS, WITHOUT_INPUTS, GptqSettings, Quantizer, gptq, quantizer_for
from .bias_correction import correction

_ARRAYS = ("integers", "channel_scale", "block_multiplier", "zero_point", "block_scale")
_BIAS = "bias_correction"


@dataclass(frozen=True)
class Settings:
    """How integers are chosen; see ``passes.quantize.Quantize`` for what each means."""

    algorithm: str
    sequential: bool
    bias_correction: bool
    own: GptqSettings | None = None  # of the algorithm, where it has some

    @property
    def needs_inputs(self) -> bool:
        """Whether calibration rows are needed."""
        return self.algorithm in NEEDS_INPUTS or self.bias_correction


@dataclass
class Chosen:
    """Integers by path, what to add to biases (float32 [R]), and facts for the report."""

    weights: dict[str, IntegerWeight] = field(default_factory=dict)
    bias_shifts: dict[str, torch.Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def module(self, path: str, layer: torch.nn.Module) -> torch.nn.Module:
        """What stands in the place of ``layer``, a Linear or an Embedding."""
        if isinstance(layer, torch.nn.Embedding):
            return QuantizedEmbedding(self.weights[path], layer.padding_idx)
        bias: torch.Tensor | None = layer.bias  # type: ignore[assignment]
        if bias is not None and path in self.bias_shifts:
            bias = bias.detach() + self.bias_shifts[path]
        return QuantizedLinear(self.weights[path], bias)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything but the facts, by "path|array"."""
        arrays = {f"{path}|{name}": getattr(w, name) for path, w in self.weights.items() for name in _ARRAYS}
        kept = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items() if array is not None}
        return kept | {f"{path}|{_BIAS}": shift for path, shift in self.bias_shifts.items()}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, torch.Tensor], plan: Mapping[str, WeightFormat], facts: Mapping[str, Any]
    ) -> Chosen:
        """The inverse of ``tensors``."""
        chosen = cls(facts=dict(facts))
        for path, format in plan.items():
            arrays: dict[str, Any] = {
                name: tensors[f"{path}|{name}"].numpy().copy() for name in _ARRAYS if f"{path}|{name}" in tensors
            }
            chosen.weights[path] = IntegerWeight(format, **arrays)
            if f"{path}|{_BIAS}" in tensors:
                chosen.bias_shifts[path] = tensors[f"{path}|{_BIAS}"]
        return chosen


def choose(model: Model, plan: Mapping[str, WeightFormat], settings: Settings) -> Chosen:
    """Integers of every planned layer from its weight alone; raises InputError naming the layer."""
    chosen = Chosen()
    quantizer = quantizer_for(settings.algorithm, settings.own, has_inputs=False)
    for path, format in plan.items():
        chosen.weights[path] = _quantized(quantizer, path, _weight(model.module, path), format, None)
    return chosen


def choose_by_inputs(
    model: Model,
    plan: Mapping[str, WeightFormat],
    settings: Settings,
    batches: Sequence[Batch],
    progress: Callable[[str], None] = lambda message: None,
) -> Chosen:
    """Integers, and corrections of biases, from weights and from what flows into the layers on ``batches``.

    Raises:
        InputError: NaN or infinite weights or activations, a format that doesn't fit; the message names the layer.
    """
    working = model.with_module(model.copy_module())
    reasons = _without_inputs(model, plan)
    order = running_order(model, batches[0], [path for path in plan if path not in reasons])
    reasons |= {
        path: "never runs on the calibration rows" for path in plan if path not in reasons and path not in order
    }
    chosen = choose(model, {path: plan[path] for path in plan if path in reasons}, settings)
    for path in chosen.weights:
        _place(working.module, path, chosen)
    statistics, facts = _statistics(model, working, batches, order, settings)
    quantizer = quantizer_for(settings.algorithm, settings.own)
    ties: dict[tuple[int, WeightFormat], IntegerWeight] = {}
    tokens: dict[str, int] = {}
    errors: dict[str, float] = {}
    countdown = Countdown(progress, f"quantize: {settings.algorithm}, layers")
    for number, (path, inputs) in enumerate(statistics):
        countdown.at(number, len(order))
        layer, weight = model.module.get_submodule(path), _weight(model.module, path)
        tie = (id(layer.weight), plan[path])
        if tie not in ties:
            ties[tie] = _quantized(quantizer, path, weight, plan[path], inputs)
        chosen.weights[path] = ties[tie]
        if settings.bias_correction and layer.bias is not None:
            chosen.bias_shifts[path] = correction(weight, ties[tie], inputs)
        if inputs.gram is not None:
            errors[path] = float(f"{gptq.output_error(weight, ties[tie], inputs):.3g}")
        tokens[path] = inputs.count
        _place(working.module, path, chosen)
    if settings.algorithm in NEEDS_INPUTS:
        chosen.facts |= facts | _token_facts(model, tokens) | {"relative_output_errors": errors}
        chosen.facts["without_inputs"] = {
            path: {"algorithm": WITHOUT_INPUTS, "reason": reason} for path, reason in reasons.items()
        }
    if settings.bias_correction:
        chosen.facts |= facts | {"bias_corrected": sorted(chosen.bias_shifts)}
        chosen.facts["no_bias_to_correct"] = [path for path in order if path not in chosen.bias_shifts]
    return chosen


def _statistics(
    model: Model, working: Model, batches: Sequence[Batch], order: list[str], settings: Settings
) -> tuple[Statistics, dict[str, Any]]:
    gram = settings.algorithm in NEEDS_INPUTS
    if not settings.sequential:
        return one_shot(model, batches, order, gram=gram), {"inputs_from": "the float model"}
    blocks, reason = blocks_in_a_chain(model, batches[0])
    if reason is not None:
        facts = {"inputs_from": "the float model", "not_sequential_because": reason}
        return one_shot(model, batches, order, gram=gram), facts
    return by_block(working, batches, order, blocks, gram=gram), {
        "inputs_from": "the model with quantized earlier layers"
    }


def _without_inputs(model: Model, plan: Mapping[str, WeightFormat]) -> dict[str, str]:
    """Planned layers without inputs of their own, with the reason: tables, and linears that share one with a table."""
    tables: dict[int, str] = {}
    for path, layer in model.module.named_modules():
        if isinstance(layer, torch.nn.Embedding):
            tables.setdefault(id(layer.weight), path)
    reasons = {}
    for path in plan:
        layer = model.module.get_submodule(path)
        if isinstance(layer, torch.nn.Embedding):
            reasons[path] = "an embedding has no input activations"
        elif id(layer.weight) in tables:
            reasons[path] = f"shares its weight with the embedding {tables[id(layer.weight)]}"
    return reasons


def _token_facts(model: Model, tokens: Mapping[str, int]) -> dict[str, Any]:
    """N, and N/C: below 1 the gram matrix is singular and damping alone makes it regular."""
    columns = {path: int(model.module.get_submodule(path).in_features) for path in tokens}  # type: ignore[arg-type]
    return {
        "calibration_tokens": max(tokens.values(), default=0),
        "tokens_per_channel_min": min((tokens[path] / columns[path] for path in tokens), default=None),
        "fewer_tokens_than_channels": [path for path in tokens if tokens[path] < columns[path]],
    }


def _quantized(
    quantizer: Quantizer, path: str, weight: NDArray[np.float32], format: WeightFormat, inputs: InputStatistics | None
) -> IntegerWeight:
    try:
        return quantizer(weight, format, inputs)
    except InputError as error:
        raise InputError(f"layer {path}: {error}") from error


def _weight(module: torch.nn.Module, path: str) -> NDArray[np.float32]:
    weight: torch.Tensor = module.get_submodule(path).weight  # type: ignore[assignment]
    array: NDArray[np.float32] = weight.detach().float().numpy()
    return array


def _place(module: torch.nn.Module, path: str, chosen: Chosen) -> None:
    place(module, path, chosen.module(path, module.get_submodule(path)))


def place(module: torch.nn.Module, path: str, layer: torch.nn.Module) -> None:
    """Put ``layer`` at ``path``, and wherever else the layer that is there now occurs, so that ties stay."""
    old = module.get_submodule(path)
    for name, child in list(module.named_modules(remove_duplicate=False)):
        if child is old:
            parent, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(parent), leaf, layer)
