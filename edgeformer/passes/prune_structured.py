"""prune_structured: attention heads, feed-forward channels and whole blocks cut out of the matrices, without masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import torch

from edgeformer_converters.base import CONVERTERS, get_converter, made_for

from ..attention import is_local
from ..context import Tensors
from ..data.batching import padded_batches
from ..data.encoded import EncodedSamples
from ..errors import InputError, RecipeError
from ..families import Block, architecture_for
from ..model.base import Model
from ..pruning.allocation import Budget, allocate, keep_counts
from ..pruning.blockwise import prune_and_reconstruct
from ..pruning.costs import Costs, FlopCosts, LatencyCosts, ParameterCosts, UnitCosts
from ..pruning.importance import IMPORTANCES, shares
from ..pruning.surgery import prune_block, remove_layers, update_config
from ..pruning.units import KINDS, BlockScores, BlockShape, Kept, block_shape, prunable_blocks, sizes
from .base import Pass, PassContext, PassResult

ALLOCATIONS = ("global", "per_layer")
TARGETS = ("fraction", "parameters", "flops", "latency")
# fewer rows say too little of what a layer sees: their tokens would be fitted, not the text
MIN_ROWS = 8
# int8 kernels of TensorRT take channels by sixteen; those of CPUs lose little from eight on
_ROUND_TO = 8


@dataclass(frozen=True)
class PruneStructured(Pass):
    """What to remove, either by shares (``heads``, ``channels``), by one ``amount``, or block by block.

    Args:
        heads: share of the attention heads to remove, 0 ≤ share < 1 (target "fraction").
        channels: share of the feed-forward channels to remove (target "fraction").
        layers: blocks to remove whole, by their index in the given model.
        importance: "taylor", "wanda" or "magnitude": what decides which heads and channels go.
        allocation: "global" ranks units of all blocks together, "per_layer" takes the same share of each block. Global
            pays with "taylor", whose scores mean the same in every block; take per_layer with the others.
        target: what ``amount`` is a share of: "parameters", "flops" or measured "latency" of the blocks.
        amount: share to remove, for every target but "fraction"; met or slightly exceeded.
        per_block: instead of shares, counts to keep, {"0": {"heads": 8, "channels": 768}}; blocks and kinds that aren't
            named stay whole. Indices as in the given model.
        round_to: channels are kept in multiples of it; None is 16 where a target runs TensorRT, else 8. Weights
            quantized in blocks of 32 need a multiple of 32.
        reconstruct: whether the linears that lost inputs are solved anew on the calibration rows; needs no labels.
        sequence_length: tokens of a row, for FLOPs and latency.
    """

    name: ClassVar[str] = "prune_structured"

    heads: float = 0.0
    channels: float = 0.0
    layers: tuple[int, ...] = ()
    importance: str = "taylor"
    allocation: str = "global"
    target: str = "fraction"
    amount: float = 0.0
    per_block: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    round_to: int | None = None
    reconstruct: bool = True
    sequence_length: int = 128

    def __post_init__(self) -> None:
        for key, known in (("importance", tuple(IMPORTANCES)), ("allocation", ALLOCATIONS), ("target", TARGETS)):
            if getattr(self, key) not in known:
                raise RecipeError(
                    f"prune_structured: {key} = {getattr(self, key)!r}: expected one of {', '.join(known)}"
                )
        for key in ("heads", "channels", "amount"):
            if not 0 <= getattr(self, key) < 1:
                raise RecipeError(
                    f"prune_structured: {key} = {getattr(self, key)}: expected a share to remove, at least 0 and below "
                    "1 (whole blocks are removed by layers = [...])"
                )
        for key in ("round_to", "sequence_length"):
            value = getattr(self, key)
            if value is not None and (type(value) is not int or value < 1):
                raise RecipeError(f"prune_structured: {key} = {value!r}: expected an integer of at least 1")
        self._check_target()
        self._check_indices()

    def _check_target(self) -> None:
        by_share = self.heads > 0 or self.channels > 0
        if self.target == "fraction" and self.amount > 0:
            raise RecipeError("prune_structured: amount goes with target parameters, flops or latency; give heads or "
                              "channels for target fraction")  # fmt: skip
        if self.target != "fraction" and by_share:
            raise RecipeError(f"prune_structured: target {self.target} takes amount; heads and channels would compete")
        if self.per_block and (by_share or self.amount > 0):
            raise RecipeError(
                "prune_structured: per_block says what each block keeps; leave heads, channels and amount out"
            )

    def _check_indices(self) -> None:
        if any(type(index) is not int for index in self.layers) or len(set(self.layers)) != len(self.layers):
            raise RecipeError(f"prune_structured: layers = {list(self.layers)}: expected indices of blocks, each once")
        for key, counts in self.per_block.items():
            where = f"prune_structured: per_block.{key}"
            if not key.isdecimal():
                raise RecipeError(f"{where}: expected the index of a block as the key")
            if int(key) in self.layers:
                raise RecipeError(f"{where}: layers removes this block whole")
            if not isinstance(counts, Mapping) or not counts or set(counts) - set(KINDS):
                raise RecipeError(
                    f'{where} = {counts!r}: expected {{"heads": COUNT, "channels": COUNT}}, or one of them'
                )
            if any(type(count) is not int or count < 1 for count in counts.values()):
                raise RecipeError(f"{where} = {dict(counts)}: expected counts to keep, at least 1")

    def requires(self, model: Model, context: PassContext) -> None:
        """Blocks that can be cut, and calibration rows where something is chosen or solved by them."""
        if not self._asks:
            return
        blocks = prunable_blocks(model)
        fixed = architecture_for(model.architecture).fixed_heads(model.module)
        cuts_heads = self.heads > 0 or any("heads" in counts for counts in self.per_block.values())
        if cuts_heads and fixed is not None:
            raise RecipeError(f"heads can't be removed from the family {model.architecture}: {fixed}. Prune channels")
        unknown = [key for key in self.per_block if int(key) >= len(blocks)]
        if unknown:
            raise RecipeError(f"per_block.{unknown[0]}: {model.name} has the blocks 0…{len(blocks) - 1}")
        if cuts_heads and any(is_local(part) for part in model.module.modules()):
            raise RecipeError("attention is local: put prune_structured before local_attention")
        if self._needs_rows:
            context.calibration(model, self._rows_user, MIN_ROWS)

    def run(self, model: Model, context: PassContext) -> PassResult:
        """Remove blocks, choose units, cut, and repair what is left."""
        if not self._asks:
            return PassResult(model, changed=False)
        architecture = architecture_for(model.architecture)
        original = prunable_blocks(model)
        given = [block.index for block in original if block.index not in self.layers]
        costs_before = self._totals(model, original)
        if self.layers:
            module = model.copy_module()
            remove_layers(module, architecture, self.layers)
            model = model.with_module(module)
        blocks = prunable_blocks(model)
        kept, choice = self._choose(model, blocks, given, context)
        module = model.copy_module()
        for block, keep in zip(blocks, kept, strict=True):
            prune_block(module, block, architecture, keep)
        errors: Any = None
        if self.reconstruct and any(keep != Kept.everything(block) for block, keep in zip(blocks, kept, strict=True)):
            errors = self._reconstruct(model, module, blocks, kept, context)
        left = architecture.find_blocks(module)
        update_config(module, architecture)
        result = model.with_module(module)
        facts: dict[str, Any] = {
            "layers_removed": list(self.layers),
            "before": sizes(original),
            "after": [{"block": index, **entry} for index, entry in zip(given, sizes(left), strict=True)],
            "blocks_cost_before": costs_before,
            "blocks_cost_after": self._totals(result, left),
            "reconstruction": errors,
            **choice,
        }
        return PassResult(result, changed=True, facts=facts)

    def ensures(self, model: Model) -> None:
        """Layers and counts of every block fit each other."""
        if self._asks:
            prunable_blocks(model)

    @property
    def _asks(self) -> bool:
        return self._cuts or bool(self.layers)

    @property
    def _cuts(self) -> bool:
        return bool(self.per_block) or max(self.heads, self.channels, self.amount) > 0

    @property
    def _needs_rows(self) -> bool:
        return self._cuts and (self.reconstruct or IMPORTANCES[self.importance].needs_rows)

    @property
    def _rows_user(self) -> str:
        return f"importance {self.importance}" if IMPORTANCES[self.importance].needs_rows else "reconstruct = true"

    def _choose(
        self, model: Model, blocks: Sequence[Block], given: Sequence[int], context: PassContext
    ) -> tuple[list[Kept], dict[str, Any]]:
        """What each block keeps, and how it was chosen."""
        if not self._cuts:
            return [Kept.everything(block) for block in blocks], {}
        scores = self._scores(model, blocks, context)
        shapes = [block_shape(model.module, block) for block in blocks]
        choice: dict[str, Any] = {"importance": self.importance}
        if self.per_block:
            chosen = [
                keep_counts(item, self.per_block.get(str(index), {}), index)
                for index, item in zip(given, scores, strict=True)
            ]
            return chosen, choice | {"allocation": "per_block"}
        round_to = self._round_to(context)
        costs, measured = self._costs(shapes, round_to, context)
        by_amount = self.target != "fraction"
        budget = Budget(self.heads, self.channels, self.amount if by_amount else None, costs)
        if self.allocation == "global" and not IMPORTANCES[self.importance].comparable:
            scores = shares(scores)
        fixed = architecture_for(model.architecture).fixed_heads(model.module) is not None
        chosen = allocate(shapes, scores, budget, self.allocation, round_to, heads_fixed=fixed)  # type: ignore[arg-type]
        return chosen, choice | {"allocation": self.allocation, "round_to": round_to, **measured}

    def _round_to(self, context: PassContext) -> int:
        if self.round_to is not None:
            return self.round_to
        converters = [get_converter(name) for name in CONVERTERS]
        wanted = [item.round_channels_to for item in converters for target in context.targets if made_for(item, target)]
        return max([_ROUND_TO, *wanted])

    def _costs(self, shapes: Sequence[BlockShape], round_to: int, context: PassContext) -> tuple[Costs, dict[str, Any]]:
        if self.target == "parameters":
            return ParameterCosts(), {}
        if self.target == "flops":
            return FlopCosts(self.sequence_length), {}
        if self.target == "fraction":
            return UnitCosts(), {}
        largest = max(shapes, key=lambda shape: (shape.heads, shape.channels))
        if any((shape.hidden, shape.head_dim, shape.ups) != (largest.hidden, largest.head_dim, largest.ups)
               for shape in shapes):  # fmt: skip
            raise RecipeError("target latency: the blocks differ in width, so one table can't hold for all of them")

        def make() -> tuple[Tensors, Mapping[str, Any]]:
            from ..pruning.latency import measure_block_latency

            measured = asdict(measure_block_latency(largest, self.sequence_length, round_to, context.threads))
            for half in ("attention_ms", "feed_forward_ms"):
                measured[half] = {str(count): ms for count, ms in measured[half].items()}  # JSON has no integer keys
            return {}, measured

        key = {"shape": asdict(largest), "n": self.sequence_length, "round_to": round_to, "threads": context.threads}
        _, table = context.kept("prune_structured/latency", key, make)
        attention = {int(count): float(ms) for count, ms in table["attention_ms"].items()}
        feed_forward = {int(count): float(ms) for count, ms in table["feed_forward_ms"].items()}
        return LatencyCosts(attention, feed_forward), {"latency_table": dict(table)}

    def _rows(self, model: Model, context: PassContext) -> EncodedSamples | None:
        return context.calibration(model, self._rows_user, MIN_ROWS) if self._needs_rows else None

    def _scores(self, model: Model, blocks: Sequence[Block], context: PassContext) -> list[BlockScores]:
        rows = self._rows(model, context) if IMPORTANCES[self.importance].needs_rows else None

        def make() -> tuple[Tensors, Mapping[str, Any]]:
            scores = IMPORTANCES[self.importance].score(model, blocks, rows, context.seed)
            named = {f"{number}.{kind}": item.of(kind) for number, item in enumerate(scores) for kind in KINDS}
            return named, {}

        key = {**_key(model, blocks, rows), "importance": self.importance}
        tensors, _ = context.kept("prune_structured/scores", key, make)
        return [BlockScores(tensors[f"{n}.heads"], tensors[f"{n}.channels"]) for n in range(len(blocks))]

    def _reconstruct(
        self,
        model: Model,
        module: torch.nn.Module,
        blocks: Sequence[Block],
        kept: Sequence[Kept],
        context: PassContext,
    ) -> Any:
        """Put the solved weights into ``module``, which is ``model`` cut; returns the errors by block."""
        rows = self._rows(model, context)
        if rows is None:
            raise InputError("reconstruct = true: needs calibration rows")

        def make() -> tuple[Tensors, Mapping[str, Any]]:
            batches = padded_batches(model, rows)
            architecture = architecture_for(model.architecture)
            tensors, errors = prune_and_reconstruct(model, blocks, architecture, kept, batches, context.progress)
            return tensors, {"blocks": errors}

        key = {**_key(model, blocks, rows), "kept": [[list(keep.heads), list(keep.channels)] for keep in kept]}
        tensors, facts = context.kept("prune_structured/reconstruct", key, make)
        with torch.no_grad():
            for path, values in tensors.items():
                module.get_parameter(path).copy_(values)
        return list(facts["blocks"])

    def _totals(self, model: Model, blocks: Sequence[Block]) -> dict[str, float]:
        """Parameters and FLOPs of all heads and channels; FLOPs for a row of ``sequence_length`` tokens."""
        shapes = [block_shape(model.module, block) for block in blocks]
        flops = FlopCosts(self.sequence_length)
        return {
            "parameters": sum(_whole(shape, ParameterCosts()) for shape in shapes),
            "flops": sum(_whole(shape, flops) for shape in shapes),
            "model_parameters": model.parameter_count(),
        }


def _whole(shape: BlockShape, costs: Costs) -> float:
    return costs.of(shape, "heads", shape.heads) + costs.of(shape, "channels", shape.channels)


def _key(model: Model, blocks: Sequence[Block], rows: EncodedSamples | None) -> dict[str, Any]:
    return {
        "model": model.digest(),
        "blocks": [asdict(block) for block in blocks],
        "rows": None if rows is None else rows.digest(),
    }
