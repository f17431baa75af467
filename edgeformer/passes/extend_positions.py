"""extend_positions: let a model with learned positions read longer inputs than it was trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..attention.positions import METHODS, extend_positions, position_table, unused_rows
from ..errors import ModelError, RecipeError
from ..model.base import Model
from .base import Pass, PassContext, PassResult


@dataclass(frozen=True)
class ExtendPositions(Pass):
    """A longer table of positions, made from the trained one; nothing is trained here.

    It doesn't compress: the model with full attention over the longer input is what a compressed one is compared with
    (and what teaches it in ``recover``), so it goes before every compressing pass.

    Args:
        max_length: tokens that the model shall take.
        method: ``tile`` repeats the table, so inputs of the trained length give the same results as before;
            ``interpolate`` stretches it.
    """

    name: ClassVar[str] = "extend_positions"
    compresses: ClassVar[bool] = False

    max_length: int = 1024
    method: str = "tile"

    def __post_init__(self) -> None:
        if self.max_length < 2:
            raise RecipeError(f"extend_positions: max_length = {self.max_length}: expected at least 2 tokens")
        if self.method not in METHODS:
            raise RecipeError(f"extend_positions: method {self.method!r}: expected one of {', '.join(METHODS)}")

    def requires(self, model: Model, context: PassContext) -> None:
        """A table of positions, and no compression before."""
        position_table(model.module)
        before = context.uncompressed
        if before is not None and before.module is not model.module:
            raise RecipeError(
                "the model was compressed before: put extend_positions in front of the compressing passes"
            )

    def run(self, model: Model, context: PassContext) -> PassResult:
        """The model with ``max_length`` positions; unchanged where it has as many already."""
        _, table = position_table(model.module)
        trained = table.num_embeddings - unused_rows(table)
        if trained >= self.max_length:
            return PassResult(model, changed=False, facts={"trained_length": trained, "max_length": trained})
        module = model.copy_module()
        extend_positions(module, self.max_length, "tile" if self.method == "tile" else "interpolate")
        facts = {
            "trained_length": trained,
            "max_length": self.max_length,
            "method": self.method,
            "note": f"the model was trained on {trained} positions; those beyond are copies or mixtures of these",
        }
        longer = model if model.signature.text is None else model.with_text(max_length=None)
        return PassResult(replace(longer, module=module, max_length=self.max_length), changed=True, facts=facts)

    def ensures(self, model: Model) -> None:
        """Table and stated length agree."""
        _, table = position_table(model.module)
        if model.max_length is not None and table.num_embeddings - unused_rows(table) < model.max_length:
            raise ModelError(f"the table has {table.num_embeddings} rows for {model.max_length} tokens")
