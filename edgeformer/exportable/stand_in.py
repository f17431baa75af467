"""Layers of ours in place of a family's, and the way back: whoever speaks of layers by the family's own names (an
adapter that was trained on them) works on those.
"""

from __future__ import annotations

from typing import Any

import torch


class StandIn(torch.nn.Module):
    """A layer that computes what another did, made by ``Kind(other)``."""

    def original(self) -> torch.nn.Module:
        """The layer that it stands for, with the present weights."""
        raise NotImplementedError


def put_originals(module: torch.nn.Module) -> dict[str, type[Any]]:
    """Replace, in place, every stand-in by what it stands for; returns their paths and kinds for ``stand_again``."""
    found = {path: part for path, part in module.named_modules() if isinstance(part, StandIn)}
    for path, part in found.items():
        _put(module, path, part.original().train(part.training))
    return {path: type(part) for path, part in found.items()}


def stand_again(module: torch.nn.Module, kinds: dict[str, type[Any]]) -> None:
    """Undo ``put_originals``, in place, with the weights that the layers have by now."""
    for path, kind in kinds.items():
        layer = module.get_submodule(path)
        _put(module, path, kind(layer).train(layer.training))


def _put(module: torch.nn.Module, path: str, layer: torch.nn.Module) -> None:
    parent, _, leaf = path.rpartition(".")
    setattr(module.get_submodule(parent), leaf, layer)
