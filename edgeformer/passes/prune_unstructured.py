"""prune_unstructured: the least important weights of linears become zeros, wherever they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from ..errors import RecipeError
from ..model.base import Model
from ..pruning.unstructured import (
    BY_INPUTS,
    check_settings,
    prunable_linears,
    scores,
    smallest,
    sparsity_facts,
    with_zeros,
)
from .base import Pass, PassContext, PassResult

SCOPES = ("row", "layer", "global")


@dataclass(frozen=True)
class PruneUnstructured(Pass):
    """Zeros in a share of the weights. The file shrinks only when it is compressed; no engine here runs faster for it.

    Later steps don't know of the zeros: GPTQ and training put numbers there again, rounding to nearest keeps them.

    Args:
        sparsity: share of zeros, 0 ≤ share < 1; zeros that are there already count.
        importance: "magnitude", or "wanda" (Sun 2023), which needs calibration rows.
        scope: which weights are compared: those of one "row" (an output; Wanda's choice), of a "layer", or of all
            layers ("global", magnitude only: inputs of different layers aren't on one scale).
        roles: linears that are pruned, by their role in the family.
    """

    name: ClassVar[str] = "prune_unstructured"

    sparsity: float = 0.5
    importance: str = "magnitude"
    scope: str = "row"
    roles: tuple[str, ...] = ("attention", "feed_forward")

    def __post_init__(self) -> None:
        check_settings(self.name, self.importance, self.roles)
        if not 0 <= self.sparsity < 1:
            raise RecipeError(
                f"prune_unstructured: sparsity = {self.sparsity}: expected a share, at least 0 and below 1"
            )
        if self.scope not in SCOPES:
            raise RecipeError(f"prune_unstructured: scope = {self.scope!r}: expected one of {', '.join(SCOPES)}")
        if self.scope == "global" and self.importance in BY_INPUTS:
            raise RecipeError(
                f"prune_unstructured: {self.importance}'s scores hang on the size of a layer's inputs, so layers can't "
                'be compared: use scope = "row" or "layer", or importance = "magnitude"'
            )

    def run(self, model: Model, context: PassContext) -> PassResult:
        """Zeros by score; unchanged where as many are there already."""
        linears = prunable_linears(model, self.name, self.roles)
        if self.sparsity == 0:
            return PassResult(model, changed=False)
        removed = self._removed(scores(model, linears, self.importance, self.name, context))
        new, changed = with_zeros(model, removed)
        return PassResult(new, changed, sparsity_facts(model, new, list(linears)))

    def _removed(self, found: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """bool [R, C] a layer, True where a zero goes."""
        if self.scope == "row":
            return {path: smallest(score, round(self.sparsity * score.shape[1])) for path, score in found.items()}
        if self.scope == "layer":
            return {path: self._flat(score.reshape(-1)).reshape(score.shape) for path, score in found.items()}
        everywhere = self._flat(torch.cat([score.reshape(-1) for score in found.values()]))
        parts = torch.split(everywhere, [score.numel() for score in found.values()])
        return {path: part.reshape(score.shape) for part, (path, score) in zip(parts, found.items(), strict=True)}

    def _flat(self, values: torch.Tensor) -> torch.Tensor:
        return smallest(values, round(self.sparsity * values.numel()))
