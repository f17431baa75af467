"""smooth: even out the ranges of channels before integers are chosen, without changing what the model computes.

Only pairs of layers between which nothing but a scale a channel stands can share a factor exactly:

    value → output   softmax rows mix positions, not channels, so a channel of the values arrives scaled as it left
    query ↔ key      their product is a sum over channels, each with the factor of one cancelling that of the other

The pairs that Xiao et al. 2022 fold into a LayerNorm are not among them: in the families described here (BERT,
RoBERTa, DistilBERT, MPNet) the LayerNorm comes after the residual sum, and its output is also the next residual, which
a folded factor would change. Nor is up → down: the activation function between them is not linear.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch

from ..data.batching import Batch, padded_batches
from ..errors import ModelError, RecipeError
from ..families import Block, architecture_for
from ..model.base import Model
from ..probing.activations import input_statistics
from ..quantization.smoothquant import equalizing_factors, smoothing_factors
from .base import Pass, PassContext, PassResult

_MIN_ROWS = 8  # ranges settle sooner than second moments
_LARGEST_DIFFERENCE = 1e-3  # of the largest output: float32's rounding through any number of blocks stays far below
_LEFT_OUT = {
    "layer norm → query, key, value, up": "its output is also the residual, which the factor would change",
    "up → down": "the activation function between them is not linear",
}


@dataclass(frozen=True)
class Smooth(Pass):
    """Scale value → output by calibration rows (SmoothQuant, eq. 4 with α = ``strength``), query ↔ key by weights.

    Engines with one scale a tensor gain by the first, integers with one scale a tensor by both.
    """

    name: ClassVar[str] = "smooth"

    strength: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise RecipeError(f"smooth: strength = {self.strength}: expected a number between 0 and 1 (0.5 is usual)")

    def requires(self, model: Model, context: PassContext) -> None:
        """Blocks that the family describes, of float layers that no two blocks share."""
        seen: dict[int, str] = {}
        for block in architecture_for(model.architecture).find_blocks(model.module):
            for path in (block.query, block.key, block.value, block.output):
                layer = model.module.get_submodule(path)
                if type(layer) is not torch.nn.Linear:
                    raise ModelError(
                        f"layer {path} is a {type(layer).__name__}, expected a Linear: put smooth before quantize"
                    )
                other = seen.setdefault(id(layer.weight), path)
                if other != path:
                    raise ModelError(f"layers {other} and {path} share their weights: a factor would apply twice")

    def run(self, model: Model, context: PassContext) -> PassResult:
        """Scale every block's pairs; refuses a model whose outputs change by more than rounding."""
        blocks = architecture_for(model.architecture).find_blocks(model.module)
        rows = context.calibration(model, self.name, _MIN_ROWS)
        batches = padded_batches(model, rows)
        outputs = [block.output for block in blocks]

        def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
            found = input_statistics(model, batches, outputs)
            return {path: item.abs_max for path, item in found.items()}, {}

        ranges, _ = context.kept("ranges for smooth", {"model": model.digest(), "rows": rows.digest()}, make)
        module = model.copy_module()
        uneven: dict[str, dict[str, float | None]] = {}
        for block in blocks:
            factors = _smooth_block(module, block, ranges[block.output], self.strength)
            before, after = ranges[block.output], ranges[block.output] / factors
            uneven[block.output] = {"before": _unevenness(before), "after": _unevenness(after)}
        smoothed = model.with_module(module)
        facts = {
            **asdict(self),
            "pairs": ["value → output", "query ↔ key"],
            "left_out": _LEFT_OUT,
            "range_unevenness": uneven,
            "largest_output_difference": _difference(model, smoothed, batches[0]),
        }
        return PassResult(smoothed, changed=True, facts=facts)


@torch.no_grad()
def _smooth_block(module: torch.nn.Module, block: Block, ranges: torch.Tensor, strength: float) -> torch.Tensor:
    """Scale a block's layers in place; returns the factors of value → output, float32 [C]."""
    query, key, value, output = (
        module.get_submodule(path) for path in (block.query, block.key, block.value, block.output)
    )
    factors = smoothing_factors(ranges, _weight(output).abs().amax(dim=0), strength).float()
    _scale_rows(value, 1 / factors)
    _weight(output).mul_(factors)
    shared = equalizing_factors(_weight(query).abs().amax(dim=1), _weight(key).abs().amax(dim=1)).float()
    _scale_rows(query, 1 / shared)
    _scale_rows(key, shared)
    return factors


def _scale_rows(layer: torch.nn.Module, factors: torch.Tensor) -> None:
    _weight(layer).mul_(factors[:, None])
    if layer.bias is not None:
        layer.bias.mul_(factors)  # type: ignore[operator]


def _weight(layer: torch.nn.Module) -> torch.Tensor:
    weight: torch.Tensor = layer.weight  # type: ignore[assignment]
    return weight


def _unevenness(ranges: torch.Tensor) -> float | None:
    """Largest channel range over the median one: 1 is even; None where half of the channels are always zero."""
    median = float(ranges.median())
    return float(f"{float(ranges.max()) / median:.4g}") if median > 0 else None


def _difference(before: Model, after: Model, batch: Batch) -> float:
    """Largest difference of outputs over their largest magnitude; raises ModelError beyond rounding."""
    with torch.inference_mode():
        pairs = zip(before.callable_module()(*batch.tensors), after.callable_module()(*batch.tensors), strict=True)
        worst = max(float((a - b).abs().max() / a.abs().max().clamp_min(1e-12)) for a, b in pairs)
    if not worst <= _LARGEST_DIFFERENCE:
        raise ModelError(
            f"smoothing changed the outputs by {worst:.2g} of their largest value, at most {_LARGEST_DIFFERENCE} is "
            f"rounding: the family {before.architecture!r} has more than a scale between these layers. Leave smooth out"
        )
    return float(f"{worst:.2g}")
