"""quantize: put integers where floats were, following a plan layer → format."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch

from edgeformer_converters.ops import QuantizedEmbedding, QuantizedLinear, WeightFormat

from ..architectures import ROLES, architecture_for
from ..errors import InputError, RecipeError
from ..model import Model
from ..quantization import QUANTIZERS
from .base import Pass, PassContext, PassResult

FLOAT = "float32"
# A table of a few rows (token types) saves nothing and costs operators.
_SMALLEST_TABLE_ROWS = 32


@dataclass(frozen=True)
class Quantize(Pass):
    """Formats by role, and ``layers`` (regular expression on the layer's path → format), which is tried first.

    A format is ``float32`` or one of ``WeightFormat``'s, e.g. int8, int4, int4-block32, int8-asym.
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

    def __post_init__(self) -> None:
        if self.algorithm not in QUANTIZERS:
            raise RecipeError(f"quantize: algorithm {self.algorithm!r}: expected one of {', '.join(QUANTIZERS)}")
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
            if chosen is None or (_is_small_table(layer) and pattern is None):
                continue
            plan[path] = chosen
        if unused:
            raise RecipeError(f"quantize: layers pattern {sorted(unused)[0]!r} matches no layer of {model.name}")
        return plan

    def per_tensor(self) -> Quantize:
        """The plan for engines that know one scale a tensor and no integer tables: linears int8-tensor."""
        kept_float = {role: FLOAT for role in ROLES if getattr(self, role) == FLOAT}
        roles = dict.fromkeys(ROLES, "int8-tensor") | kept_float | {"embedding": FLOAT}
        layers = {pattern: text if text == FLOAT else "int8-tensor" for pattern, text in self.layers.items()}
        return replace(self, layers=layers, **roles)

    def run(self, model: Model, context: PassContext) -> PassResult:
        """Quantize each planned layer; errors name the layer."""
        plan = self.plan(model)
        if not plan:
            return PassResult(model, changed=False, facts={"layers": {}})
        module = model.copy_module()
        made: dict[int, torch.nn.Module] = {}
        for path, layer in quantizable_layers(module, every_path=True).items():
            if path not in plan and id(layer) not in made:
                continue
            if id(layer) not in made:
                made[id(layer)] = self._quantized(path, layer, plan[path])
            parent, _, leaf = path.rpartition(".")
            setattr(module.get_submodule(parent), leaf, made[id(layer)])
        counts = Counter(str(chosen) for chosen in plan.values())
        facts: dict[str, Any] = {
            "algorithm": self.algorithm,
            "layers": {path: str(chosen) for path, chosen in plan.items()},
            "formats": dict(sorted(counts.items())),
        }
        return PassResult(replace(model, module=module), changed=True, facts=facts)

    def _quantized(self, path: str, layer: torch.nn.Module, chosen: WeightFormat) -> torch.nn.Module:
        weight = layer.weight.detach().float().numpy()  # type: ignore[operator]
        try:
            integers = QUANTIZERS[self.algorithm](weight, chosen)
        except InputError as error:
            raise InputError(f"layer {path}: {error}") from error
        if isinstance(layer, torch.nn.Embedding):
            return QuantizedEmbedding(integers, layer.padding_idx)
        return QuantizedLinear(integers, layer.bias)  # type: ignore[arg-type]


def quantizable_layers(module: torch.nn.Module, *, every_path: bool = False) -> dict[str, torch.nn.Module]:
    """Linears and embeddings by path. A layer that occurs twice (tied) is listed once, unless ``every_path``."""
    return {
        path: layer
        for path, layer in module.named_modules(remove_duplicate=not every_path)
        if type(layer) in (torch.nn.Linear, torch.nn.Embedding)
    }


def _parse(text: str) -> WeightFormat | None:
    return None if text == FLOAT else WeightFormat.parse(text)


def _is_small_table(layer: torch.nn.Module) -> bool:
    return isinstance(layer, torch.nn.Embedding) and layer.num_embeddings < _SMALLEST_TABLE_ROWS
