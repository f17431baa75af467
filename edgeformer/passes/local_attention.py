"""local_attention: let each query of a dense model see the keys near it and a few global ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from edgeformer_converters.ops import LocalAttention, LocalPattern

from ..architectures import Block, architecture_for
from ..attention import IMPLEMENTATION, install, is_local
from ..attention.mass import attention_mass
from ..encoding import EncodedSamples
from ..errors import InputError, ModelError, RecipeError
from ..model import Model
from .base import Pass, PassContext, PassResult, Tensors

# families whose attention reads transformers' registry and adds nothing of its own to the scores
_FAMILIES = ("bert", "distilbert", "roberta")
_SMALLEST_RADIUS = 16
# attention is profiled with full attention, so rows are costly; shares vary little between them
_MAX_ROWS = 64
MIN_CALIBRATION_ROWS = 8


@dataclass(frozen=True)
class LocalAttend(Pass):
    """A window for every block, given or found by what its heads look at.

    Heads that spread their attention evenly (sentence encoders) keep a large mass at no small radius, and may yet do
    well with one: the gate judges the outputs, the mass only proposes.

    It goes after passes that remove heads and before ``recover``, which trains the model to live with the windows.

    Args:
        radius: keys that a query sees on each side, for all blocks that ``per_block`` doesn't name.
        per_block: block number → radius, as text ("0"); 0 leaves that block's attention full.
        keep_mass: in place of ``radius``: for each block the smallest of 16, 32, 64 … with which every head keeps this
            share of its attention weight on calibration rows; a block where only the whole input does stays full.
        global_tokens: positions that see all and are seen by all; (0,) is [CLS].
        full_below: lengths below which a lowering may use full attention with the window as its mask (the same result
            another way); None: four times the radius.
    """

    name: ClassVar[str] = "local_attention"

    radius: int | None = None
    per_block: Mapping[str, int] = field(default_factory=dict)
    keep_mass: float | None = None
    global_tokens: tuple[int, ...] = (0,)
    full_below: int | None = None

    def __post_init__(self) -> None:
        if self.radius is not None and self.keep_mass is not None:
            raise RecipeError("local_attention: radius and keep_mass are two ways to say the same: give one")
        if self.radius is None and self.keep_mass is None and not self.per_block:
            raise RecipeError("local_attention: give radius (128), keep_mass (0.95) or per_block")
        if self.keep_mass is not None and not 0 < self.keep_mass <= 1:
            raise RecipeError(f"local_attention: keep_mass = {self.keep_mass}: expected a share above 0 (0.95)")
        if self.full_below is not None and self.full_below < 0:
            raise RecipeError(f"local_attention: full_below = {self.full_below}: expected a number of tokens")
        for key, radius in self.per_block.items():
            if not re.fullmatch(r"\d+", key) or type(radius) is not int or radius < 0:
                raise RecipeError(
                    f"local_attention: per_block.{key} = {radius!r}: expected a block's number and a radius >= 0"
                )
        try:
            LocalPattern.radius(1 if self.radius is None else self.radius, global_tokens=self.global_tokens)
        except InputError as error:
            raise RecipeError(f"local_attention: {error}") from error

    def requires(self, model: Model, context: PassContext) -> None:
        """A dense family whose scores are query times key alone, and calibration rows where radii are to be found."""
        architecture = architecture_for(model.architecture)
        if architecture.name == "mpnet":
            raise ModelError(
                "family mpnet: its position bias is one matrix of all pairs, computed once for all blocks, which a "
                "window would have to cut; not supported"
            )
        if architecture.name not in _FAMILIES:
            raise ModelError(
                f"family {model.architecture!r}: can't be made local; possible are {', '.join(_FAMILIES)} and their "
                "children. Models trained local (ModernBERT, Longformer) keep their own windows without this pass"
            )
        blocks = architecture.find_blocks(model.module)
        beyond = [key for key in self.per_block if int(key) >= len(blocks)]
        if beyond:
            raise RecipeError(f"per_block.{beyond[0]}: the model has the blocks 0…{len(blocks) - 1}")
        for block in blocks:
            if is_local(model.module.get_submodule(block.attention)):
                raise RecipeError(f"block {block.index}: its attention is local already")
        if self.keep_mass is not None:
            self._rows(model, context)

    def run(self, model: Model, context: PassContext) -> PassResult:
        """The model with a LocalAttention in each block that gets a window; unchanged where none does."""
        blocks = architecture_for(model.architecture).find_blocks(model.module)
        radii: dict[int, int | None] = {block.index: self.radius for block in blocks}
        mass: Mapping[str, Any] | None = None
        if self.keep_mass is not None:
            mass = self._profile(model, blocks, context)
            radii = {block.index: self._smallest(mass, block) for block in blocks}
        radii.update({int(key): radius or None for key, radius in self.per_block.items()})
        layers = {
            block.attention: self._layer(block, model.module.get_submodule(block.attention), radius)
            for block in blocks
            if (radius := radii[block.index]) is not None
        }
        facts = self._facts(blocks, radii, mass)
        if not layers:
            return PassResult(model, changed=False, facts=facts)
        module = model.copy_module()
        install(module, layers)
        return PassResult(model.with_module(module), changed=True, facts=facts)

    def ensures(self, model: Model) -> None:
        """Where a window stands, the model's attention goes through it."""
        local = any(is_local(part) for part in model.module.modules())
        if local and getattr(model.module.config, "_attn_implementation", None) != IMPLEMENTATION:
            raise ModelError("the model has windows, but its attention doesn't go through them")

    def _layer(self, block: Block, attention: Any, radius: int) -> LocalAttention:
        return LocalAttention(
            LocalPattern.radius(radius, global_tokens=self.global_tokens),
            heads=block.heads,
            kv_heads=block.heads,
            head_dim=block.head_dim,
            scale=float(attention.scaling),
            full_below=self.full_below,
        )

    def _rows(self, model: Model, context: PassContext) -> EncodedSamples:
        """The first calibration rows."""
        rows = context.calibration(model, "local_attention with keep_mass", MIN_CALIBRATION_ROWS)
        return EncodedSamples(rows.feeds[:_MAX_ROWS], None, rows.source)

    def _profile(self, model: Model, blocks: tuple[Block, ...], context: PassContext) -> Mapping[str, Any]:
        """Radii that were tried, and by block's number the share of every head at each: {"radii", "shares", "rows"}."""
        rows = self._rows(model, context)
        longest = max(int(row["input_ids"].shape[1]) for row in rows.feeds)
        tried = [_SMALLEST_RADIUS]
        while 2 * tried[-1] < longest - 1:
            tried.append(2 * tried[-1])

        def make() -> tuple[Tensors, Mapping[str, Any]]:
            paths = [block.attention for block in blocks]
            found = attention_mass(
                model,
                rows,
                paths,
                tried,
                self.global_tokens,
                lambda done, total: context.progress(f"local_attention: batch {done} of {total}"),
            )
            shares = {str(block.index): found[block.attention].tolist() for block in blocks}
            return {}, {"radii": tried, "shares": shares, "rows": len(rows.feeds), "longest": longest}

        key = {"model": model.digest(), "rows": rows.digest(), "globals": list(self.global_tokens), "tried": tried}
        return context.kept("attention mass", key, make)[1]

    def _smallest(self, mass: Mapping[str, Any], block: Block) -> int | None:
        """The smallest radius that keeps the mass of the block's worst head; None when the block must stay full."""
        for number, radius in enumerate(mass["radii"]):
            if (
                radius < mass["longest"] - 1
                and min(h[number] for h in mass["shares"][str(block.index)]) >= self.keep_mass
            ):
                return int(radius)
        return None

    def _facts(
        self, blocks: tuple[Block, ...], radii: Mapping[int, int | None], mass: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "radii": {block.path: radii[block.index] for block in blocks},
            "full_attention": [block.path for block in blocks if radii[block.index] is None],
            "global_tokens": list(self.global_tokens),
        }
        if mass is None:
            return {**facts, "mass_kept": None, "mass_missing_because": "radii were given, so heads weren't profiled"}
        kept: dict[str, dict[str, float] | None] = {}
        tried = list(mass["radii"])
        for block in blocks:
            radius = radii[block.index]
            if radius in tried:
                heads = [head[tried.index(radius)] for head in mass["shares"][str(block.index)]]
                kept[block.path] = {"worst_head": min(heads), "mean": sum(heads) / len(heads)}
            else:
                kept[block.path] = None  # full, or a radius of the user's own that wasn't profiled
        worst = {
            block.path: [min(column) for column in zip(*mass["shares"][str(block.index)], strict=True)]
            for block in blocks
        }
        profile = {"rows": mass["rows"], "longest": mass["longest"], "radii": tried, "worst_head": worst}
        return {**facts, "mass_kept": kept, "profiled": profile}
