"""Names of tensors in an adapter's file: the ones that peft writes, and those of files that were saved by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from ..errors import AdapterError
from ..model.weight_names import WRAPPERS
from .config import PREFIX

# In a live model each factor lies in a dictionary by the adapter's name; ``save_pretrained`` takes the name out.
_NAMED = re.compile(
    r"\.(?:(?:lora_[AB])\.(?P<linear>[^.]+)\.(?:weight|bias)"
    r"|(?:lora_embedding_[AB]|token_adapter\.trainable_tokens_delta)\.(?P<table>[^.]+)"
    r"|lora_magnitude_vector\.(?!weight$)(?P<vector>[^.]+)(?:\.weight)?)$"
)


def plain_names(tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """``tensors`` by their names in the base model, without prefixes, and a note on each that peft doesn't write.

    Raises:
        AdapterError: names without peft's prefix beside names with it, several adapters in one file, or a name twice.
    """
    notes: list[str] = []
    plain = {WRAPPERS.sub("", key): key for key in tensors}
    if len(plain) != len(tensors):
        raise AdapterError("holds tensors twice, with and without a wrapper's prefix: save it with save_pretrained")
    if any(name != key for name, key in plain.items()):
        notes.append("a wrapper's prefix (module., _orig_mod.) was taken off the names in the file")
    bare = [name for name in plain if not name.startswith(PREFIX)]
    if bare and len(bare) < len(plain):
        raise AdapterError(f"tensor {bare[0]!r}: expected a name that begins with {PREFIX!r}, as others in the file do")
    if bare:
        notes.append(f"names in the file have no {PREFIX!r} before them, which peft itself would not load")
    levels = 0
    while plain and all(name.startswith(PREFIX) for name in plain):
        plain = {name.removeprefix(PREFIX): key for name, key in plain.items()}
        levels += 1
    if levels > 1:
        notes.append(f"{PREFIX!r} was taken off the names in the file {levels} times: a peft model was wrapped again")
    adapters = {name for entry in plain if (name := _adapter_name(entry)) is not None}
    if len(adapters) > 1:
        raise AdapterError(
            f"its file holds the adapters {', '.join(sorted(adapters))} in one: save each with save_pretrained("
            "dir, selected_adapters=[…]), and give the one that is meant"
        )
    for adapter in adapters:
        notes.append(f"the adapter's name {adapter!r} was taken out of the names in the file")
        plain = {_without(name, adapter): key for name, key in plain.items()}
    return {name: tensors[key] for name, key in plain.items()}, tuple(notes)


def _adapter_name(name: str) -> str | None:
    match = _NAMED.search(name)
    return next(filter(None, match.groups()), None) if match else None


def _without(name: str, adapter: str) -> str:
    """``name`` without the adapter's name in it, where peft's modules put one."""
    if _adapter_name(name) == adapter:
        head, _, tail = name.rpartition(f".{adapter}")
        return head + tail
    return name.replace(f".modules_to_save.{adapter}.", ".modules_to_save.")
