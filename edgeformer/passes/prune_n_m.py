"""prune_n_m: of each M consecutive inputs of a row at most N weights are not zero (Mishra 2021; 2:4 on recent GPUs)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..errors import EdgeformerError, InputError, RecipeError
from ..model.base import Model
from ..pruning.unstructured import check_settings, prunable_linears, scores, smallest, sparsity_facts, with_zeros
from .base import Pass, PassContext, PassResult


@dataclass(frozen=True)
class PruneNM(Pass):
    """The N most important of each M stay. The file shrinks only when it is compressed; no engine here runs faster.

    Later steps don't know of the pattern: GPTQ and training put numbers there again, rounding to nearest keeps it.

    Args:
        n: weights that stay in each group, 1 ≤ n ≤ m.
        m: consecutive inputs in a group; it must divide the inputs of every layer.
        importance: "magnitude", or "wanda" (Sun 2023, section 3), which needs calibration rows.
        roles: linears that are pruned, by their role in the family.
    """

    name: ClassVar[str] = "prune_n_m"

    n: int = 2
    m: int = 4
    importance: str = "magnitude"
    roles: tuple[str, ...] = ("attention", "feed_forward")

    def __post_init__(self) -> None:
        check_settings(self.name, self.importance, self.roles)
        if not 1 <= self.n <= self.m:
            raise RecipeError(f"prune_n_m: n = {self.n}, m = {self.m}: expected 1 ≤ n ≤ m")

    def requires(self, model: Model, context: PassContext) -> None:
        """Groups that fit every layer."""
        for path, layer in prunable_linears(model, self.name, self.roles).items():
            if layer.in_features % self.m:
                raise InputError(f"layer {path}: {layer.in_features} inputs are not a multiple of m = {self.m}")

    def run(self, model: Model, context: PassContext) -> PassResult:
        """Zeros by score; unchanged where the pattern is there already."""
        linears = prunable_linears(model, self.name, self.roles)
        found = scores(model, linears, self.importance, self.name, context)
        removed = {
            path: smallest(score.reshape(-1, self.m), self.m - self.n).reshape(score.shape)
            for path, score in found.items()
        }
        new, changed = with_zeros(model, removed)
        return PassResult(new, changed, {"pattern": f"{self.n}:{self.m}", **sparsity_facts(model, new, list(linears))})

    def ensures(self, model: Model) -> None:
        """At most n of each m."""
        for path, layer in prunable_linears(model, self.name, self.roles).items():
            groups = (layer.weight != 0).reshape(-1, self.m).sum(dim=1)
            if int(groups.max()) > self.n:
                raise EdgeformerError(
                    f"layer {path}: a group of {self.m} has {int(groups.max())} weights that aren't 0"
                )
