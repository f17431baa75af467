"""local_attention: let each query of a dense model see the keys near it and a few global ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from edgeformer_converters.ops import LocalAttention, LocalPattern

from ..attention import IMPLEMENTATION, install, is_local
from ..attention.radii import Measure, profile, smallest
from ..context import Tensors
from ..data.encoded import EncodedSamples
from ..errors import InputError, ModelError, RecipeError
from ..families import Block, architecture_for
from ..model.base import Model
from ..terminal.countdown import Countdown
from .base import Pass, PassContext, PassResult

# families whose attention reads transformers' registry and adds nothing of its own to the scores
_FAMILIES = ("bert", "distilbert", "roberta")
# attention is profiled with full attention, so rows are costly; shares vary little between them
_MAX_ROWS = 64
MIN_CALIBRATION_ROWS = 8
# Measured with 12 heads of 64 in ONNX Runtime, without the kernel: windows of radius 16, 32, 64, 128 and 256 win from
# about 370, 400, 600, 710 and 950 positions on (with the kernel from 2.5 radii).
DENSE_RADII, DENSE_POSITIONS = 3, 320


@dataclass(frozen=True)
class LocalAttend(Pass):
    """A window for every block, given or found by what its heads look at.

    Radii can be found on calibration rows, without labels. ``keep_output`` asks what a window changes of a block's
    output. ``keep_mass`` asks how much attention weight it leaves out, which says less: heads that spread their
    attention evenly (sentence encoders) keep a large mass at no small radius, and may yet do well with one. Both only
    propose; the gate judges.

    It goes after passes that remove heads and before ``recover``, which trains the model to live with the windows.

    Args:
        radius: keys that a query sees on each side, for all blocks that ``per_block`` doesn't name.
        per_block: block number → radius, as text ("0"); 0 leaves that block's attention full.
        keep_output: in place of ``radius``: for each block the smallest of 16, 32, 64 … with which the relative squared
            error of its attention, beside the residual stream, is at most 1 - keep_output on calibration rows; a block
            where only the whole input does stays full.
        keep_mass: in place of ``radius``: for each block the smallest of 16, 32, 64 … with which every head keeps this
            share of its attention weight.
        global_tokens: positions that see all and are seen by all; (0,) is [CLS].
        dense_below: inputs of fewer positions keep full attention; None: three times a block's radius and 320,
            from about where a window is faster without the kernel; 0: a window for every length. Static variants decide
            by the length that they pad a text to.
    """

    name: ClassVar[str] = "local_attention"

    radius: int | None = None
    per_block: Mapping[str, int] = field(default_factory=dict)
    keep_mass: float | None = None
    keep_output: float | None = None
    global_tokens: tuple[int, ...] = (0,)
    dense_below: int | None = None

    def __post_init__(self) -> None:
        ways = [name for name in ("radius", "keep_mass", "keep_output") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise RecipeError(f"local_attention: {' and '.join(ways)} are two ways to say the same: give one")
        if not ways and not self.per_block:
            raise RecipeError("local_attention: give radius (128), keep_output (0.95), keep_mass (0.95) or per_block")
        for name in ("keep_mass", "keep_output"):
            share = getattr(self, name)
            if share is not None and not 0 < share <= 1:
                raise RecipeError(f"local_attention: {name} = {share}: expected a share above 0 and at most 1")
        if self.dense_below is not None and (type(self.dense_below) is not int or self.dense_below < 0):
            raise RecipeError(
                f"local_attention: dense_below = {self.dense_below!r}: expected a number of positions >= 0"
            )
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
        if self._measure is not None:
            self._rows(model, context)

    def run(self, model: Model, context: PassContext) -> PassResult:
        """The model with a LocalAttention in each block that gets a window; unchanged where none does."""
        blocks = architecture_for(model.architecture).find_blocks(model.module)
        radii: dict[int, int | None] = {block.index: self.radius for block in blocks}
        found: Mapping[str, Any] | None = None
        wanted = self.keep_mass if self.keep_output is None else self.keep_output
        if wanted is not None:
            found = self._profile(model, blocks, context)
            radii = {block.index: smallest(found, block, wanted) for block in blocks}
        radii.update({int(key): radius or None for key, radius in self.per_block.items()})
        layers = {
            block.attention: self._layer(block, model.module.get_submodule(block.attention), radius)
            for block in blocks
            if (radius := radii[block.index]) is not None
        }
        facts = self._facts(blocks, radii, found)
        shortest = min((layer.pattern.dense_below for layer in layers.values()), default=0)
        if layers and model.max_length is not None and model.max_length < shortest:
            facts["reason"] = (
                f"no input reaches a window: the model reads at most {model.max_length} positions, and below "
                f"{shortest} (dense_below) full attention is faster; extend_positions first, or state dense_below"
            )
            context.progress(f"local_attention: {facts['reason']}")
            layers = {}
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
            LocalPattern.radius(radius, global_tokens=self.global_tokens, dense_below=self._dense_below(radius)),
            heads=block.heads,
            kv_heads=block.heads,
            head_dim=block.head_dim,
            scale=float(attention.scaling),
        )

    def _dense_below(self, radius: int) -> int:
        return DENSE_RADII * radius + DENSE_POSITIONS if self.dense_below is None else self.dense_below

    def _rows(self, model: Model, context: PassContext) -> EncodedSamples:
        """The first calibration rows."""
        rows = context.calibration(model, f"local_attention with keep_{self._measure}", MIN_CALIBRATION_ROWS)
        return EncodedSamples(rows.feeds[:_MAX_ROWS], None, rows.source)

    @property
    def _measure(self) -> Measure | None:
        """What radii are found by; None where they are given."""
        if self.keep_output is not None:
            return "output"
        return None if self.keep_mass is None else "mass"

    def _profile(self, model: Model, blocks: tuple[Block, ...], context: PassContext) -> Mapping[str, Any]:
        """What ``radii.profile`` gives, made once for a model and its rows."""
        rows, measure = self._rows(model, context), self._measure or "output"

        def make() -> tuple[Tensors, Mapping[str, Any]]:
            countdown = Countdown(context.progress, "local_attention: batches")
            return {}, profile(model, rows, blocks, measure, self.global_tokens, countdown.at)

        key = {"model": model.digest(), "rows": rows.digest(), "globals": list(self.global_tokens), "measure": measure}
        return context.kept("attention windows", key, make)[1]

    def _facts(
        self, blocks: tuple[Block, ...], radii: Mapping[int, int | None], found: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "radii": {block.path: radii[block.index] for block in blocks},
            "full_attention": [block.path for block in blocks if radii[block.index] is None],
            "dense_below": {
                block.path: self._dense_below(radius) for block in blocks if (radius := radii[block.index]) is not None
            },
            "global_tokens": list(self.global_tokens),
        }
        if found is None:
            return {**facts, "kept": None, "kept_missing_because": "radii were given, so nothing was profiled"}
        tried = list(found["radii"])
        kept: dict[str, float | None] = {}
        for block in blocks:
            radius, shares = radii[block.index], found["kept"][str(block.index)]
            # None: full, or a radius of the user's own that wasn't profiled
            kept[block.path] = shares[tried.index(radius)] if radius in tried else None
        named = {
            key: {block.path: found[key][str(block.index)] for block in blocks} if found[key] is not None else None
            for key in ("kept", "mean_head")
        }
        return {**facts, "kept": kept, "profiled": {**found, **named}}
