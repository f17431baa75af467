"""Methods of peft other than LoRA: which of them leave a weight behind that could be merged, and which don't."""

from __future__ import annotations

from typing import Any

from ..errors import AdapterError

# They put learnt vectors before the text or into attention's keys and values: inputs of a running model, no weights.
_PROMPTS = (
    "ADAPTION_PROMPT",
    "CARTRIDGE",
    "CPT",
    "MULTITASK_PROMPT_TUNING",
    "P_TUNING",
    "PREFIX_TUNING",
    "PROMPT_TUNING",
)
# What they compute depends on the input, so that no fixed weight does the same.
_BY_INPUT = ("LILY", "POLY", "SHADOW", "XLORA")


def refuse_method(peft_type: Any) -> None:
    """Raise AdapterError for anything but LORA (AdaLoRA was made one by now), saying whether peft can merge it."""
    if peft_type == "LORA":
        return
    if peft_type in _PROMPTS:
        why = (
            "it learnt vectors that are put before the text or into attention, and there is no weight to merge them "
            "into: train a LoRA, or fine-tune the model"
        )
    elif peft_type in _BY_INPUT:
        why = (
            "what it adds depends on the input, so no fixed weight does the same: train a LoRA, or fine-tune the model"
        )
    elif peft_type is None or not isinstance(peft_type, str):
        raise AdapterError(f"peft_type is {peft_type!r}: expected 'LORA'; is this a config that peft wrote?")
    else:
        why = (
            "only LoRA (with rsLoRA, DoRA and AdaLoRA) is merged here. Merge it with peft first, by PeftModel."
            "from_pretrained(base, adapter).merge_and_unload().save_pretrained(folder), and compile that folder"
        )
    raise AdapterError(f"peft_type is {peft_type!r}: {why}")
