"""All that a finished compile knows, before it is published or reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeformer_runtime.device.target import Target

from ..data.splits import Data
from ..passes.base import PipelineResult
from ..recipe import Recipe
from .export import Compressed, Exported
from .latency import VariantLatency
from .search import Attempt


@dataclass(frozen=True)
class Outcome:
    """All that a finished compile knows."""

    recipe: Recipe
    targets: tuple[Target, ...]
    pipeline: PipelineResult
    data: Data
    variants: tuple[Exported, ...]
    compressed: Mapping[str | None, Compressed]
    latencies: Mapping[str, VariantLatency] = field(default_factory=dict)  # by variant
    attempts: tuple[Attempt, ...] = ()  # the last is what is published
