"""The mask is made in front of the model; a family that makes more of it than "which keys count" must not lose that.

A causal family, or one with a window, builds its own pattern from a 0/1 mask and takes an additive mask as it is. So
both are tried once, on random tokens longer than the usual windows, and a family whose outputs differ is refused.
"""

from __future__ import annotations

import torch

from .errors import ModelError
from .model import Model
from .tasks import TaskModule

# longer than the windows of the families that have one (ModernBERT: 128)
_TOKENS = 320
_TOLERANCE = 1e-3  # of the largest output


def check_mask(model: Model) -> None:
    """Raise ModelError when the family computes something else from its own mask; a model of plain tensors passes."""
    module = model.callable_module()
    if not isinstance(module, TaskModule):
        return
    feeds = _feeds(model)
    with torch.inference_mode():
        ours = module(*feeds.values())
        theirs = module.outputs(model.module(**feeds, return_dict=True), feeds["attention_mask"])
    real = feeds["attention_mask"].bool()
    for spec, a, b in zip(model.outputs, ours, theirs, strict=True):
        if a.shape[:2] == real.shape:
            a, b = a[real], b[real]  # what is said of padding is nobody's business
        largest = float(b.abs().max())
        difference = float((a - b).abs().max())
        if not difference <= _TOLERANCE * max(largest, 1e-6):
            raise ModelError(
                f"model {model.name}: {spec.name} differs by {difference:.3g} (largest {largest:.3g}) when the mask "
                f"says only which tokens count. The family {model.architecture!r} adds a pattern of its own (causal, "
                "or a window), which would silently be lost: only encoders with full attention are compiled"
            )


def _feeds(model: Model) -> dict[str, torch.Tensor]:
    """Two rows of random tokens, the second with padding."""
    length = min(_TOKENS, model.max_length or _TOKENS)
    vocabulary = int(getattr(model.module.config, "vocab_size", 1000))
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary, (2, length), generator=generator)
    ids[ids == model.pad_token_id] = (model.pad_token_id + 1) % vocabulary
    mask = torch.ones_like(ids)
    mask[1, length - length // 3 :] = 0
    ids[mask == 0] = model.pad_token_id
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return {spec.name: feeds[spec.name] for spec in model.inputs}
