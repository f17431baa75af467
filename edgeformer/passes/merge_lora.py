"""merge_lora: fold LoRA adapters into the weights, so that nothing of them is left to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from ..errors import AdapterError
from ..lora import merge_adapters, read_adapter, refuse_unsaved_heads
from ..model.base import Model
from .base import Pass, PassContext, PassResult


@dataclass(frozen=True)
class AdapterSource:
    """A peft adapter directory and its share in the sum."""

    path: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> AdapterSource:
        """``DIR`` or ``DIR=WEIGHT`` as given on a command line."""
        head, separator, tail = text.rpartition("=")
        if not separator or Path(text).is_dir():
            return cls(text)
        try:
            return cls(head, float(tail))
        except ValueError as error:
            raise AdapterError(f"adapter {text!r}: {tail!r} is not a weight: expected DIR or DIR=NUMBER") from error


@dataclass(frozen=True)
class MergeLora(Pass):
    """W' = W + Σ weight_i · scale_i · B_i · A_i, see ``lora/merge.py``."""

    name: ClassVar[str] = "merge_lora"
    compresses: ClassVar[bool] = False

    adapters: Sequence[AdapterSource] = ()

    def run(self, model: Model, context: PassContext) -> PassResult:
        """Without adapters nothing changes; an adapter that doesn't fit or has no effect is refused."""
        if not self.adapters:
            return PassResult(model, changed=False)
        adapters = [
            read_adapter(Path(source.path), weight=source.weight, allow_pickle=context.allow_pickle)
            for source in self.adapters
        ]
        merged = merge_adapters(model.module, adapters)
        untrained = model.untrained - frozenset(merged.replaced)
        refuse_unsaved_heads(merged.module, untrained, adapters)
        for note in merged.notes:
            context.progress(note)
        new = replace(model, module=merged.module, untrained=untrained).with_head_width(merged.num_labels)
        return PassResult(new, changed=True, facts=merged.facts())
