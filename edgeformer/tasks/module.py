"""The module that an exporter sees: 0/1 masks come in, the family gets them in the form that it takes, and tensors,
never dicts, come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from edgeformer_runtime.bundle.manifest import TensorSpec

from .base import Task
from .masks import MaskForm, masked_for
from .pooling import PoolingMode, pool
from .sentence_layers import SENTENCE_LAYERS


@dataclass(frozen=True)
class TaskOptions:
    """What a task needs to know beside its name."""

    pooling: tuple[PoolingMode, ...] = ("mean",)  # one vector behind the other
    normalize: bool = True
    mask: MaskForm = "keys"


class TaskModule(torch.nn.Module):
    """A transformers model as a function of tensors, the form that exporters and verification use."""

    def __init__(self, model: torch.nn.Module, task: Task, input_names: Sequence[str], options: TaskOptions) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.input_names = tuple(input_names)
        self.options = options

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Tensors in the order of ``input_names`` to outputs in the order of ``output_specs``."""
        feeds = dict(zip(self.input_names, tensors, strict=True))
        mask = feeds.get("attention_mask")
        if mask is not None:
            feeds["attention_mask"] = masked_for(self.options.mask, mask)
        return self.outputs(self.model(**feeds, return_dict=True), mask)

    def outputs(self, result: Any, mask: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """The task's outputs from what the family returns; ``mask`` is 0/1 [batch, sequence]."""
        pools = self.task.pools or hasattr(self.model, SENTENCE_LAYERS)  # a head may be the last of these
        if pools and mask is not None:
            return (self._embedding(result.last_hidden_state, mask),)
        return self.task.select(result)

    def _embedding(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[batch, sequence, hidden] to [batch, dimensions]; padding doesn't count."""
        vectors = pool(hidden, mask, self.options.pooling)
        layers = getattr(self.model, SENTENCE_LAYERS, None)
        if layers is not None:
            vectors = layers(vectors)
        return F.normalize(vectors, dim=-1) if self.options.normalize else vectors


class TupleModule(torch.nn.Module):
    """A user's own module with its outputs as a tuple."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Tensors in the module's own order to a tuple of its outputs."""
        result = self.model(*tensors)
        if isinstance(result, torch.Tensor):
            return (result,)
        return tuple(result.values()) if isinstance(result, Mapping) else tuple(result)


# what transformers' names of inputs mean
_ROLES = {"input_ids": "tokens", "attention_mask": "mask", "token_type_ids": "token_types"}


def input_specs(names: Sequence[str], pad_token_id: int) -> tuple[TensorSpec, ...]:
    """int64 [batch, sequence] for each input."""
    pads = {"input_ids": pad_token_id}
    return tuple(
        TensorSpec(name, "int64", ("batch", "sequence"), pads.get(name, 0), _ROLES.get(name)) for name in names
    )
