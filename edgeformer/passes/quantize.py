"""quantize: put integers where floats were, following a plan layer → format."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar

import torch

from edgeformer_converters.ops import WeightFormat

from ..data.batching import padded_batches
from ..errors import InputError, RecipeError
from ..families import ROLES, architecture_for
from ..model.base import Model
from ..model.layers import quantizable_layers
from ..quantization import NEEDS_INPUTS, QUANTIZERS, SETTINGS, GptqSettings
from ..quantization.choose import Chosen, Settings, choose, choose_by_inputs, place
from .base import Pass, PassContext, PassResult

FLOAT = "float32"
# A table of a few rows (token types) saves nothing and costs operators.
_SMALLEST_TABLE_ROWS = 32
# fewer rows say too little of what flows into a layer
MIN_CALIBRATION_ROWS = 32


@dataclass(frozen=True)
class Quantize(Pass):
    """Formats by role, and ``layers`` (regular expression on the layer's path → format), which is tried first.

    A format is ``float32`` or one of ``WeightFormat``'s, e.g. int8, int4, int4-block32, int8-asym. ``algorithm``
    chooses the integers: ``rtn`` and ``mse`` by the weights alone, ``gptq`` by calibration rows too.

    Args:
        damping, act_order: see ``GptqSettings``.
        sequential: a layer's inputs come from the model whose earlier layers are quantized already, block by block,
            in place of the float model; for families without a description of their blocks they can't, and facts
            say so.
        bias_correction: add (W − Ŵ)·E[x] to the bias (needs calibration rows); layers without a bias are left as
            they are, and facts name them.
    """

    name: ClassVar[str] = "quantize"

    algorithm: str = "rtn"
    embedding: str = "int8"
    attention: str = "int8"
    feed_forward: str = "int4"
    pooler: str = "int8"
    head: str = FLOAT
    other: str = "int8"
    layers: Mapping[str, str] = field(default_factory=dict)
    damping: float = GptqSettings.damping
    act_order: bool = GptqSettings.act_order
    sequential: bool = True
    bias_correction: bool = False

    def __post_init__(self) -> None:
        if self.algorithm not in QUANTIZERS:
            raise RecipeError(f"quantize: algorithm {self.algorithm!r}: expected one of {', '.join(QUANTIZERS)}")
        for algorithm in SETTINGS:
            try:
                self._own_settings(algorithm)
            except InputError as error:
                raise RecipeError(f"quantize: {error}") from error
        roles: dict[str, str] = {role: getattr(self, role) for role in ROLES}
        for key, text in {**roles, **self.layers}.items():
            try:
                _parse(text)
                re.compile(key)
            except (InputError, re.error) as error:
                raise RecipeError(f"quantize: {key}: {error}") from error

    def plan(self, model: Model) -> dict[str, WeightFormat]:
        """The format of every layer that gets integers, in the model's order; layers left as floats are absent.

        Raises:
            RecipeError: a pattern of ``layers`` that matches no layer (a typo would change nothing, silently).
        """
        architecture = architecture_for(model.architecture)
        unused = set(self.layers)
        plan: dict[str, WeightFormat] = {}
        for path, layer in quantizable_layers(model.module).items():
            pattern = next((p for p in self.layers if re.search(p, path)), None)
            unused.discard(pattern or "")
            role = architecture.role(path)
            chosen = _parse(self.layers[pattern] if pattern else getattr(self, role))
            if chosen is None or _is_table_per_tensor(layer, chosen) or (_is_small_table(layer) and pattern is None):
                continue
            plan[path] = chosen
        if unused:
            raise RecipeError(f"quantize: layers pattern {sorted(unused)[0]!r} matches no layer of {model.name}")
        return plan

    def per_tensor(self) -> Quantize:
        """The plan for engines that know one scale a tensor and no integer tables: linears int8-tensor."""
        kept_float: dict[str, Any] = {role: FLOAT for role in ROLES if getattr(self, role) == FLOAT}
        names: tuple[str, ...] = ROLES
        roles: dict[str, Any] = {**dict.fromkeys(names, "int8-tensor"), **kept_float, "embedding": FLOAT}
        layers = {pattern: text if text == FLOAT else "int8-tensor" for pattern, text in self.layers.items()}
        return replace(self, layers=layers, **roles)

    def in_floats(self) -> Quantize:
        """A step that quantizes nothing."""
        roles: dict[str, Any] = dict.fromkeys(ROLES, FLOAT)
        return replace(self, layers={}, **roles)

    def run(self, model: Model, context: PassContext) -> PassResult:
        """Quantize each planned layer; errors name the layer."""
        plan = self.plan(model)
        if not plan:
            return PassResult(model, changed=False, facts={"layers": {}})
        chosen = self._chosen(model, plan, context)
        module = model.copy_module()
        for path in plan:
            place(module, path, chosen.module(path, module.get_submodule(path)))
        counts = Counter(str(format) for format in plan.values())
        facts: dict[str, Any] = {
            "algorithm": self.algorithm,
            "layers": {path: str(format) for path, format in plan.items()},
            "formats": dict(sorted(counts.items())),
            **chosen.facts,
        }
        return PassResult(replace(model, module=module), changed=True, facts=facts)

    def _chosen(self, model: Model, plan: Mapping[str, WeightFormat], context: PassContext) -> Chosen:
        own = self._own_settings(self.algorithm)
        settings = Settings(self.algorithm, self.sequential, self.bias_correction, own)
        if not settings.needs_inputs:
            return choose(model, plan, settings)
        user = self.algorithm if self.algorithm in NEEDS_INPUTS else "bias correction"
        rows = context.calibration(model, user, MIN_CALIBRATION_ROWS)

        def make() -> tuple[dict[str, torch.Tensor], Mapping[str, Any]]:
            made = choose_by_inputs(model, plan, settings, padded_batches(model, rows), context.progress)
            return made.tensors(), made.facts

        key = {
            "model": model.digest(),
            "rows": rows.digest(),
            "plan": {path: str(format) for path, format in plan.items()},
            "settings": asdict(settings),
        }
        tensors, facts = context.kept(f"quantize by {user}", key, make)
        return Chosen.from_tensors(tensors, plan, facts)

    def _own_settings(self, algorithm: str) -> GptqSettings | None:
        made = SETTINGS.get(algorithm)
        return made and made(**{item.name: getattr(self, item.name) for item in fields(made)})


def _parse(text: str) -> WeightFormat | None:
    return None if text == FLOAT else WeightFormat.parse(text)


def _is_table_per_tensor(layer: torch.nn.Module, format: WeightFormat) -> bool:
    """Engines that know one scale a tensor have no integer tables."""
    return isinstance(layer, torch.nn.Embedding) and format.granularity == "tensor"


def _is_small_table(layer: torch.nn.Module) -> bool:
    return isinstance(layer, torch.nn.Embedding) and layer.num_embeddings < _SMALLEST_TABLE_ROWS
