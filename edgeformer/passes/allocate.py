"""allocate: a format for each layer, chosen by measured damage under a budget, then put in place by ``quantize``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from edgeformer_converters.base import REFERENCE_FORMAT
from edgeformer_converters.ops import WeightFormat

from ..allocation import latency_table as latency
from ..allocation.joint import allocate_jointly, joint_damage
from ..allocation.knapsack import Plan, Unit
from ..allocation.knapsack import frontier as byte_frontier
from ..allocation.prune_units import BlockCut, cut, cuts_of, shapes_to_measure, with_pruning
from ..allocation.refine import Refined, refine
from ..allocation.units import layer_units
from ..data.encoded import EncodedSamples
from ..errors import InputError, RecipeError
from ..families import ROLES, architecture_for
from ..model.base import Model
from ..model.layers import quantizable_layers
from ..pruning.units import prunable_blocks
from ..quantization import QUANTIZERS
from ..sensitivity.candidates import FLOAT, Candidates
from ..sensitivity.measure import (
    PlanEvaluator,
    ProfileSettings,
    PruneBlock,
    profile,
    profile_batches,
    run_batches,
    total_damage,
)
from ..sensitivity.profile import Profile
from .base import FrontierPoint, OpenPass, Pass, PassContext, PassResult
from .prune_structured import PruneStructured
from .quantize import MIN_CALIBRATION_ROWS, Quantize
from .recover import Recover

PER_TENSOR = "int8-tensor"


@dataclass(frozen=True)
class Choice:
    """Formats by path, what pruned blocks keep, and which paths are tables (they matter for scales a tensor only)."""

    formats: Mapping[str, str]
    per_block: Mapping[str, Mapping[str, int]]
    tables: frozenset[str]


@dataclass(frozen=True)
class _Options:
    profile: Profile
    table: latency.LatencyTable | None
    cuts: tuple[BlockCut, ...]
    units: tuple[Unit, ...]


@dataclass(frozen=True)
class Allocate(OpenPass):
    """Formats by a sensitivity profile and what layers damage together, then checked by the true damage.

    Args:
        formats: the candidates, ``WeightFormat`` texts and "float32".
        algorithm: how integers are chosen, as for ``quantize``.
        max_bytes: of the chosen layers' integers and scales. A file adds what stays float, and its graph.
        max_latency_ms: of the sum of the linear layers, and of the table's ``rest_ms`` where it has one.
        latency_table: JSON measured on the engine that will run it; by default measured here when latency is budgeted.
        latency_format: in which layers are timed here, one whose engine runs on this machine.
        sequence_length: tokens a run, for measuring here.
        keep: roles that stay float32.
        blocks_after: see ``quantization.sensitivity``; -1 runs every change to the outputs.
        factor: prediction and truth that differ by more are reason to search on.
        evaluations: true measurements at most.
        prune: shares of heads and channels that a block may lose, e.g. (0.25, 0.5), chosen together with the formats.
        round_to: channels are kept in multiples of it.
        recover: train what pruning left, before quantizing.
        tensor_scales: put the chosen layers in place with one scale a tensor, tables as floats (32-bit Arm).
        keep_floats: put no format in place, only what is pruned.
    """

    name: ClassVar[str] = "allocate"

    formats: tuple[str, ...] = ("int8", "int4", "int4-block32")
    algorithm: str = "mse"
    max_bytes: int | None = None
    max_latency_ms: float | None = None
    latency_table: str | None = None
    latency_format: str = REFERENCE_FORMAT
    sequence_length: int = 128
    keep: tuple[str, ...] = ("head",)
    blocks_after: int = 0
    factor: float = 1.25
    evaluations: int = 12
    prune: tuple[float, ...] = ()
    round_to: int = 32
    recover: bool = False
    tensor_scales: bool = False
    keep_floats: bool = False

    def __post_init__(self) -> None:
        if self.algorithm not in QUANTIZERS:
            raise RecipeError(f"allocate: algorithm {self.algorithm!r}: expected one of {', '.join(QUANTIZERS)}")
        if not self.formats:
            raise RecipeError("allocate: formats is empty: name at least one, e.g. int8")
        for text in self.formats:
            try:
                if text != FLOAT:
                    WeightFormat.parse(text)
            except InputError as error:
                raise RecipeError(f"allocate: formats: {error}") from error
        for role in self.keep:
            if role not in ROLES:
                raise RecipeError(f"allocate: keep: {role!r}: expected some of {', '.join(ROLES)}")
        if any(not 0 < ratio < 1 for ratio in self.prune):
            raise RecipeError(f"allocate: prune = {list(self.prune)}: expected shares above 0 and below 1")
        if self.recover and not self.prune:
            raise RecipeError("allocate: recover trains what pruning left: state prune, or add a recover step")
        for name, floor in _FLOORS.items():
            value = getattr(self, name)
            if value is not None and not value > floor:
                raise RecipeError(f"allocate: {name} = {value}: expected more than {floor}")
        # the default is known to run; asking imports every converter
        if self.latency_format != REFERENCE_FORMAT and self.latency_format not in latency.measured_formats():
            expected = " or ".join(latency.measured_formats())
            raise RecipeError(f"allocate: latency_format {self.latency_format!r}: expected {expected}")

    @property
    def has_budget(self) -> bool:
        """True when bytes or latency are limited here."""
        return self.max_bytes is not None or self.max_latency_ms is not None

    def per_tensor(self) -> Allocate:
        """The same choice put in place with one scale a tensor, for engines that know no other."""
        return replace(self, tensor_scales=True)

    def in_floats(self) -> Allocate:
        """The same choice, of which only what is pruned is put in place."""
        return replace(self, keep_floats=True)

    def requires(self, model: Model, context: PassContext) -> None:
        """Refuse a model without float layers, and calibration rows that are none or too few."""
        if not quantizable_layers(model.module):
            raise RecipeError(f"{model.name} has no float linear or embedding left to choose a format for")
        context.calibration(model, "allocate", MIN_CALIBRATION_ROWS)

    def run(self, model: Model, context: PassContext) -> PassResult:
        """Profile, allocate, refine, quantize; raises RecipeError without a budget, InputError for one too small."""
        if not self.has_budget:
            raise RecipeError("allocate chooses under a budget: give it max_bytes or max_latency_ms")
        options = self._options(model, context)
        refined = self._refined(model, options, context)
        choice = Choice(refined.plan.formats, cuts_of(refined.plan, options.cuts), _tables(model))
        result, facts = PassResult(model, changed=False), []
        for step in self._steps(choice):
            result = step.run(result.model, context)
            facts.append({"pass": step.name, "changed": result.changed, "facts": dict(result.facts)})
        true = self._true_damage(model, result.model, context) if options.cuts else refined.true
        found = {**self._facts(options, replace(refined, true=true), choice), "passes": facts}
        return replace(result, changed=True, facts=found)

    def frontier(self, model: Model, context: PassContext, points: int = 8) -> list[FrontierPoint]:
        """Choices from the smallest to the least damaging; damages are predictions."""
        options = self._options(model, context)
        plans = byte_frontier(
            options.units,
            points,
            self.max_bytes,
            self._layers_latency_ms(options.table),
            solve=lambda units, limit, latency_ms: allocate_jointly(units, options.profile, limit, latency_ms),
            damage=lambda plan: joint_damage(plan, options.profile),
        )
        tables = _tables(model)
        return [
            FrontierPoint(
                joint_damage(plan, options.profile),
                plan.size_bytes,
                Choice(plan.formats, cuts_of(plan, options.cuts), tables),
            )
            for plan in plans
        ]

    def explain(self, model: Model, context: PassContext) -> Mapping[str, Any]:
        """The profile that the frontier was made from, and latencies where it needed them."""
        options = self._options(model, context)
        table = None if options.table is None else asdict(options.table)
        return {"profile": options.profile.to_dict(), "latency_table": table}

    def steps(self, point: FrontierPoint) -> tuple[Pass, ...]:
        """Pruning and recovery where the point asks for them, and the one quantize step."""
        return self._steps(point.plan)

    def _steps(self, choice: Choice) -> tuple[Pass, ...]:
        quantize = self.quantize_step(choice.formats, choice.tables)
        if not choice.per_block:
            return (quantize,)
        pruned = PruneStructured(per_block=choice.per_block, round_to=self.round_to)
        return (pruned, Recover(), quantize) if self.recover else (pruned, quantize)

    def quantize_step(self, formats: Mapping[str, str], tables: frozenset[str] = frozenset()) -> Quantize:
        """``quantize`` for exactly these layers (path → format); ``tables`` matter for scales a tensor only."""
        if self.keep_floats:
            formats = {}
        if self.tensor_scales:
            formats = {path: FLOAT if text == FLOAT or path in tables else PER_TENSOR for path, text in formats.items()}
        floats: dict[str, Any] = dict.fromkeys(ROLES, FLOAT)
        layers = {f"^{re.escape(path)}$": text for path, text in formats.items()}
        return Quantize(algorithm=self.algorithm, layers=layers, **floats)

    def profile(self, model: Model, context: PassContext, cuts: Sequence[BlockCut] = ()) -> Profile:
        """The sensitivity profile on the calibration rows, kept from an earlier equal run where there was one."""
        rows = context.calibration(model, "allocate", MIN_CALIBRATION_ROWS)
        settings = ProfileSettings(
            formats=self.formats,
            algorithm=self.algorithm,
            blocks_after=None if self.blocks_after < 0 else self.blocks_after,
            seed=context.seed,
        )
        by_ratio = {(item.index, item.ratio): item for item in cuts}

        def pruned(index: int, ratio: float) -> Model:
            item = by_ratio[index, ratio]
            keep = {str(index): {"heads": item.heads, "channels": item.channels}}
            return PruneStructured(per_block=keep, round_to=self.round_to).run(model, context).model

        prune = (pruned, tuple(dict.fromkeys(item.ratio for item in cuts))) if cuts else None
        return kept_profile(model, rows, settings, context, prune)

    def _options(self, model: Model, context: PassContext) -> _Options:
        """What may be chosen, and what each option costs."""
        cuts = self._cuts(model)
        found = self.profile(model, context, cuts)
        table = self._table(found, cuts, context)
        units = layer_units(found, self.formats, keep_roles=self.keep, latency_table=table)
        return _Options(found, table, cuts, with_pruning(units, found, cuts, table) if cuts else units)

    def _cuts(self, model: Model) -> tuple[BlockCut, ...]:
        if not self.prune:
            return ()
        fixed = architecture_for(model.architecture).fixed_heads(model.module) is not None
        made = []
        for block in prunable_blocks(model):
            shapes = {path: _shape(model, path) for path in block.linears}
            for ratio in self.prune:
                item = cut(block, ratio, self.round_to, shapes, heads_fixed=fixed)
                if (item.heads, item.channels) != (block.heads, block.channels):
                    made.append(item)
        return tuple(made)

    def _true_damage(self, before: Model, after: Model, context: PassContext) -> float:
        batches = profile_batches(before, context.calibration(before, "allocate", MIN_CALIBRATION_ROWS))
        return total_damage(before, batches, run_batches(before, batches), run_batches(after, batches))

    def _refined(self, model: Model, options: _Options, context: PassContext) -> Refined:
        """The plan, checked by what it truly damages; pruned plans are checked once they are in place."""
        latency_ms = self._layers_latency_ms(options.table)
        if options.cuts:
            plan = allocate_jointly(options.units, options.profile, self.max_bytes, latency_ms)
            return Refined(plan, joint_damage(plan, options.profile), math.nan, ())
        batches = profile_batches(model, context.calibration(model, "allocate", MIN_CALIBRATION_ROWS))
        names = [unit.name for unit in options.units]
        evaluator = PlanEvaluator(Candidates(model, names, self.algorithm, batches), batches)

        def true_damage(formats: Mapping[str, str]) -> float:
            context.progress("allocate: measuring a whole plan")
            return evaluator.damage(formats)

        return refine(
            options.units,
            true_damage,
            max_bytes=self.max_bytes,
            max_latency_ms=latency_ms,
            roles={layer.path: layer.role for layer in options.profile.layers},
            profile=options.profile,
            factor=self.factor,
            evaluations=self.evaluations,
        )

    def _layers_latency_ms(self, table: latency.LatencyTable | None) -> float | None:
        """What the budget leaves for the layers."""
        if self.max_latency_ms is None:
            return None
        rest_ms = table.rest_ms if table is not None and table.rest_ms is not None else 0.0
        if rest_ms >= self.max_latency_ms:
            raise InputError(
                f"allocate: max_latency_ms = {self.max_latency_ms:g}: what isn't in layers takes {rest_ms:g} ms already"
            )
        return self.max_latency_ms - rest_ms

    def _table(self, found: Profile, cuts: Sequence[BlockCut], context: PassContext) -> latency.LatencyTable | None:
        if self.latency_table is not None:
            return latency.load(Path(self.latency_table))
        if self.max_latency_ms is None:
            return None
        shapes = [layer.shape for layer in found.layers if layer.kind == "linear" and layer.role not in self.keep]
        return latency.measure(
            shapes_to_measure(shapes, cuts),
            tuple(dict.fromkeys((*self.formats, FLOAT))),
            format_name=self.latency_format,
            sequence_length=self.sequence_length,
            threads=context.threads,
            stages=context.stages,
            progress=context.progress,
        )

    def _facts(self, options: _Options, refined: Refined, choice: Choice) -> dict[str, Any]:
        plan: Plan = refined.plan
        return {
            "profile": options.profile.to_dict(),
            "plan": plan.formats,
            "per_block": choice.per_block,
            "size_bytes": plan.size_bytes,
            "predicted_latency_ms": plan.latency_ms,
            "latency_table": None if options.table is None else asdict(options.table),
            "predicted_damage": refined.predicted,
            "true_damage": refined.true,
            "damage_unit": options.profile.damage_unit,
            "tried": [asdict(tried) for tried in refined.tried],
            "steps": [step_data(step) for step in self._steps(choice)],
        }


_FLOORS: dict[str, float] = {
    "max_bytes": 0, "max_latency_ms": 0, "sequence_length": 0, "blocks_after": -2, "factor": 1, "evaluations": 0,
    "round_to": 0,
}  # fmt: skip


def kept_profile(
    model: Model,
    rows: EncodedSamples,
    settings: ProfileSettings,
    context: PassContext,
    prune: tuple[PruneBlock, Sequence[float]] | None = None,
) -> Profile:
    """``profile`` as a stage of a compile."""

    def make() -> tuple[dict[str, torch.Tensor], Mapping[str, Any]]:
        return {}, {"profile": profile(model, rows, settings, progress=context.progress, prune=prune).to_dict()}

    key: dict[str, Any] = {"model": model.digest(), "rows": rows.digest(), "settings": asdict(settings)}
    if prune is not None:
        key["prune"] = list(prune[1])
    _, facts = context.kept("sensitivity profile", key, make)
    return Profile.from_dict(facts["profile"])


def step_data(step: Pass) -> dict[str, Any]:
    """A step as a recipe's table."""
    values: dict[str, Any] = {item.name: getattr(step, item.name) for item in fields(step)}  # type: ignore[arg-type]
    return {"pass": step.name, **{key: dict(v) if isinstance(v, Mapping) else v for key, v in values.items()}}


def _shape(model: Model, path: str) -> tuple[int, int]:
    rows, columns = model.module.get_submodule(path).weight.shape  # type: ignore[misc]
    return int(rows), int(columns)


def _tables(model: Model) -> frozenset[str]:
    layers = quantizable_layers(model.module)
    return frozenset(path for path, layer in layers.items() if isinstance(layer, torch.nn.Embedding))
