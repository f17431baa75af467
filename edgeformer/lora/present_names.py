"""Adapters from before a family's layers got the names that they have today.

transformers 5 renamed the layers of ViT, DINOv2, Swin and others, and knows the names in older checkpoints. An adapter
that was trained before has those, too, in its tensors and in its target_modules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import nn

from .adapter import Adapter
from .config import LoraConfig


def with_present_names(module: nn.Module, adapter: Adapter) -> Adapter:
    """``adapter`` by the layers' names in ``module``, with a note, where its own are older; else as it is."""
    known = {path for path, _ in module.named_modules()}
    owners = (name.rpartition(".")[0] for name in adapter.saved)
    absent = [path for path in dict.fromkeys((*adapter.updates, *adapter.tokens, *owners)) if path not in known]
    names = {old: new for old, new in _renamed(module, absent).items() if new in known}
    if not names:
        return adapter
    saved = {}
    for entry in adapter.saved.values():
        path, _, leaf = entry.name.rpartition(".")
        name = f"{names.get(path, path)}.{leaf}"
        saved[name] = replace(entry, name=name)
    old, new = next(iter(names.items()))
    return replace(
        adapter,
        config=_config(adapter.config, adapter.updates, names),
        updates={names.get(path, path): replace(u, path=names.get(path, path)) for path, u in adapter.updates.items()},
        tokens={names.get(path, path): replace(t, path=names.get(path, path)) for path, t in adapter.tokens.items()},
        saved=saved,
        notes=(*adapter.notes, f"its layers have the names of an older transformers: {old} is {new} here"),
    )


def _renamed(module: nn.Module, paths: Iterable[str]) -> dict[str, str]:
    """Present names of layers by their older ones, by transformers' own table for checkpoints."""
    from transformers import PreTrainedModel
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightRenaming, rename_source_key

    if not isinstance(module, PreTrainedModel):
        return {}
    table = get_model_conversion_mapping(module, add_legacy=False)
    renamings = [entry for entry in table if isinstance(entry, WeightRenaming)]
    end = ".weight"  # the table is one of tensors
    return {path: rename_source_key(path + end, renamings, [])[0].removesuffix(end) for path in paths}


def _config(config: LoraConfig, paths: Iterable[str], names: dict[str, str]) -> LoraConfig:
    """``config`` with target_modules in present names: the last parts of a list's layers, a pattern's layers whole."""
    targets = config.target_modules
    if targets is None:
        return config
    present = [names.get(path, path) for path in paths]
    whole = isinstance(targets, str)
    return replace(config, target_modules=tuple(dict.fromkeys(p if whole else p.rpartition(".")[2] for p in present)))
