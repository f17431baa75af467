"""AdaLoRA (Zhang et al. 2023, eq. 3): ΔW = B·diag(E)·A, of which training kept the largest E of each layer.

It equals a plain LoRA of the rank that training began with: A's rows are multiplied by E, and the places of pruned
ranks are zero. peft divides by r + 1e-5, r being that first rank, whatever was pruned since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..errors import AdapterError

_OF_TRAINING = {"beta1", "beta2", "deltaT", "init_r", "orth_reg_weight", "target_r", "tfinal", "tinit", "total_step"}
_DIVISOR_OFFSET = 1e-5


def as_lora_config(raw: Mapping[str, Any]) -> dict[str, Any]:
    """An AdaLoRA config as the LoRA config of the adapter that ``as_lora_tensors`` makes."""
    rank, alpha = raw.get("init_r"), raw.get("lora_alpha")
    if isinstance(rank, bool) or not isinstance(rank, int):
        raise AdapterError(f"init_r is {rank!r}: expected int")
    if isinstance(alpha, int | float) and alpha <= 0:
        alpha = rank  # as peft does
    kept = {key: value for key, value in raw.items() if key not in _OF_TRAINING}
    # the pattern says which ranks were kept, which the tensors' shapes show; rsLoRA's scale is not for AdaLoRA
    return {**kept, "peft_type": "LORA", "r": rank, "lora_alpha": alpha, "rank_pattern": {}, "use_rslora": False}


def as_lora_tensors(tensors: Mapping[str, torch.Tensor], rank: int) -> dict[str, torch.Tensor]:
    """The factors of each layer as those of a LoRA of ``rank``; other tensors as they are.

    A [r, in], E [r, 1] and B [out, r] with r up to ``rank`` become A [rank, in] and B [out, rank], in float64.

    Raises:
        AdapterError: a factor is missing, or they disagree on the rank.
    """
    found = dict(tensors)
    for path in [name.removesuffix(".lora_A") for name in tensors if name.endswith(".lora_A")]:
        parts = [found.pop(f"{path}.{part}", torch.zeros(0)) for part in ("lora_A", "lora_E", "lora_B")]
        a, e, b = (part.double() for part in parts)
        if not all(part.is_floating_point() for part in parts):
            raise AdapterError(f"layer {path!r}: its tensors must be floating point, got {parts[0].dtype}")
        if a.dim() != 2 or b.dim() != 2 or e.shape != (len(a), 1) or b.shape[1] != len(a) or len(a) > rank:
            raise AdapterError(
                f"layer {path!r}: expected lora_A [r, in], lora_E [r, 1] and lora_B [out, r] with r up to {rank}, got "
                f"{', '.join(str(list(part.shape)) for part in parts)}"
            )
        missing = rank - len(a)
        a = a * e * (rank / (rank + _DIVISOR_OFFSET))
        found[f"{path}.lora_A.weight"] = torch.nn.functional.pad(a, (0, 0, 0, missing))
        found[f"{path}.lora_B.weight"] = torch.nn.functional.pad(b, (0, missing))
    return found
