"""Tasks: what each feeds, which outputs it has, and the module that an exporter sees.

``TaskModule`` is the boundary between a family's code and the exporters: 0/1 masks come in, the family gets them
in the form that it takes, and tensors, never dicts, come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch.nn import functional as F

from edgeformer_runtime.bundle.manifest import TaskSpec, TensorSpec

from ..errors import InputError
from ..model.pooling import PoolingMode, pool
from ..model.sentence_layers import SENTENCE_LAYERS

# What a family gets for its mask: "keys" additive [B, 1, 1, S], "causal" additive [B, 1, S, S], "own" the 0/1 [B, S],
# of which it makes its own
MaskForm = Literal["keys", "causal", "own"]
MASK_FORMS: tuple[MaskForm, ...] = get_args(MaskForm)

# Far below any attention score, inside float16's range, and exp() of it is exactly 0 in float32: a masked key gets no
# weight and no denormal slows the softmax.
MASKED = -10000.0


@dataclass(frozen=True)
class TaskOptions:
    """What a task needs to know beside its name."""

    pooling: tuple[PoolingMode, ...] = ("mean",)  # one vector behind the other
    normalize: bool = True
    mask: MaskForm = "keys"


def additive_mask(attention_mask: torch.Tensor) -> torch.Tensor:
    """0/1 [batch, sequence] to float32 [batch, 1, 1, sequence]: 0 where a key counts, ``MASKED`` where it doesn't."""
    keep = attention_mask[:, None, None, :].to(torch.float32)
    return (1.0 - keep) * MASKED


def causal_mask(attention_mask: torch.Tensor) -> torch.Tensor:
    """0/1 [batch, sequence] to float32 [batch, 1, sequence, sequence]: ``additive_mask``, and no later key counts."""
    length = attention_mask.shape[1]
    position = torch.arange(length, device=attention_mask.device)
    later = (position[None, :] > position[:, None]).to(torch.float32)
    return torch.clamp(additive_mask(attention_mask) + later[None, None] * MASKED, min=MASKED)


class TaskModule(torch.nn.Module):
    """A transformers model as a function of tensors, the form that exporters and verification use."""

    def __init__(self, model: torch.nn.Module, task: str, input_names: Sequence[str], options: TaskOptions) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.input_names = tuple(input_names)
        self.options = options

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Tensors in the order of ``input_names`` to outputs in the order of ``output_specs``."""
        feeds = dict(zip(self.input_names, tensors, strict=True))
        mask = feeds["attention_mask"]
        if self.options.mask == "keys":
            feeds["attention_mask"] = additive_mask(mask)
        elif self.options.mask == "causal":
            feeds["attention_mask"] = causal_mask(mask)
        return self.outputs(self.model(**feeds, return_dict=True), mask)

    def outputs(self, result: Any, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The task's outputs from what the family returns; ``mask`` is 0/1 [batch, sequence]."""
        if self.task == "feature-extraction" or hasattr(self.model, SENTENCE_LAYERS):  # a head may be the last of these
            return (self._embedding(result.last_hidden_state, mask),)
        if self.task == "question-answering":
            return (result.start_logits, result.end_logits)
        return (result.logits,)

    def _embedding(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[batch, sequence, hidden] to [batch, dimensions]; padding doesn't count."""
        vectors = pool(hidden, mask, self.options.pooling)
        layers = getattr(self.model, SENTENCE_LAYERS, None)
        if layers is not None:
            vectors = layers(vectors)
        return F.normalize(vectors, dim=-1) if self.options.normalize else vectors


def predicted_number(task: TaskSpec, logits: torch.Tensor) -> torch.Tensor:
    """What a regression predicts of its head's output, elementwise; the runtime's ``activated``, with gradients."""
    if task.activation == "sigmoid":
        return logits.sigmoid()
    return logits.tanh() if task.activation == "tanh" else logits


def input_specs(names: Sequence[str], pad_token_id: int) -> tuple[TensorSpec, ...]:
    """int64 [batch, sequence] for each input."""
    pads = {"input_ids": pad_token_id}
    return tuple(TensorSpec(name, "int64", ("batch", "sequence"), pads.get(name, 0)) for name in names)


def output_specs(task: TaskSpec, width: int) -> tuple[TensorSpec, ...]:
    """Outputs of a task; ``width`` is the number of labels, or of embedding values."""
    if task.name == "feature-extraction":
        return (TensorSpec("embedding", "float32", ("batch", width)),)
    if task.name == "question-answering":
        return tuple(TensorSpec(name, "float32", ("batch", "sequence")) for name in ("start_logits", "end_logits"))
    if task.name == "token-classification":
        return (TensorSpec("logits", "float32", ("batch", "sequence", width)),)
    if task.name == "text-classification":
        return (TensorSpec("logits", "float32", ("batch", width)),)
    raise InputError(f"task {task.name!r} has no outputs known here")
