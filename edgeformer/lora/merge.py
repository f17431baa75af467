"""Merging LoRA adapters into a copy of their base model, so that no adapter is left at run time.

LoRA (Hu et al. 2021, eq. 3):  W' = W + Σᵢ weightᵢ · scaleᵢ · Bᵢ·Aᵢ
DoRA (Liu et al. 2024, eq. 5): W' = m · (W + scale · B·A) / ‖W + scale · B·A‖, the norm of each row [out]

Sums run in float64 and are rounded once, to the base weight's dtype. Of peft's ``add_weighted_adapter``
types, "cat" is this sum; "svd" truncates it to a rank; "linear" adds the A's and B's before it multiplies,
so it also has the products between different adapters and is another model.

A weight shared with another layer (an embedding tied to the output) is changed in the adapted layer alone,
which is what the adapter was trained with. peft's ``merge_and_unload`` changes both.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..errors import AdapterError
from ..exportable.stand_in import put_originals, stand_again
from .adapter import Adapter, LowRankUpdate, SavedTensor, TokenRows
from .fit import check_combination, check_fits, without_absent_parts
from .present_names import with_present_names

# Relative changes up to this are rounding (ten times float32's): recomputing DoRA's norm alone makes them.
NO_EFFECT = 1e-6


@dataclass(frozen=True)
class LayerChange:
    """How much a merge changed one layer's weight."""

    path: str
    adapters: tuple[str, ...]
    relative: float | None  # ‖W' − W‖_F / ‖W‖_F; None where W is all zero


@dataclass(frozen=True)
class MergeResult:
    """A merged copy of the base model, and what was done to it."""

    module: nn.Module
    adapters: tuple[str, ...]
    layers: tuple[LayerChange, ...]
    replaced: tuple[str, ...]  # parameters that came from an adapter whole: trained heads, biases, embeddings
    num_labels: int | None = None  # where a head with another number of labels came along
    notes: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """The same as plain JSON data, without the module."""
        return {
            "adapters": list(self.adapters),
            "layers_changed": len(self.layers),
            "relative_change": {layer.path: layer.relative for layer in self.layers},
            "parameters_replaced": list(self.replaced),
            "num_labels": self.num_labels,
            "notes": list(self.notes),
        }


def merge_adapters(module: nn.Module, adapters: Sequence[Adapter]) -> MergeResult:
    """Return a deep copy of ``module`` with ``adapters`` merged in; ``module`` itself is left as it is.

    Raises AdapterError when an adapter doesn't fit the module (first misfit, with expected and found shapes),
    has no effect, or can't be combined with the others.
    """
    if not adapters:
        raise AdapterError("there is no adapter to merge: give at least one")
    merged = copy.deepcopy(module)
    rewritten = put_originals(merged)  # an adapter was trained on the family's own layers
    adapters = [without_absent_parts(merged, with_present_names(merged, adapter)) for adapter in adapters]
    for adapter in adapters:
        check_fits(merged, adapter)
    check_combination(adapters)
    effects = [False] * len(adapters)  # by the adapter's place: did it change anything by itself?
    replaced, labels = _install_saved(merged, adapters, effects)
    layers = _merge_updates(merged, adapters, effects)
    _check_effects(adapters, effects)
    stand_again(merged, rewritten)
    notes = (*_notes(module, adapters), *_untie(module, merged))
    return MergeResult(merged, tuple(a.name for a in adapters), layers, replaced, labels, notes)


def _install_saved(
    model: nn.Module, adapters: Sequence[Adapter], effects: list[bool]
) -> tuple[tuple[str, ...], int | None]:
    """Put the saved tensors into ``model``; returns the parameters' names, and num_labels where it changed.

    A trained head is always named; a bias or an embedding, which peft may save untrained, where it differs.
    """
    replaced: dict[str, None] = {}  # a dictionary, to keep their order
    for index, adapter in enumerate(adapters):
        changed = [saved.name for saved in adapter.saved.values() if _replace(model, saved)]
        changed += [f"{path}.weight" for path, tokens in adapter.tokens.items() if _replace_rows(model, tokens)]
        effects[index] |= bool(changed)
        heads = [saved.name for saved in adapter.saved.values() if saved.kind == "module"]
        replaced |= dict.fromkeys((*changed, *heads))
    return tuple(replaced), _resize_heads(model, tuple(replaced))


def _merge_updates(model: nn.Module, adapters: Sequence[Adapter], effects: list[bool]) -> tuple[LayerChange, ...]:
    """Merge the low-rank updates into ``model``, layer by layer."""
    layers = []
    for path in sorted({path for adapter in adapters for path in adapter.updates}):
        users = [index for index, adapter in enumerate(adapters) if path in adapter.updates]
        pairs = [(adapters[index].updates[path], adapters[index].weight) for index in users]
        relative, moved = _merge_layer(model.get_submodule(path), pairs)
        layers.append(LayerChange(path, tuple(adapters[index].name for index in users), relative))
        for index, has_moved in zip(users, moved, strict=True):
            effects[index] |= has_moved
    return tuple(layers)


# --- arithmetic ---------------------------------------------------------------------------------------------


def _merge_layer(layer: nn.Module, pairs: Sequence[tuple[LowRankUpdate, float]]) -> tuple[float | None, list[bool]]:
    """Give ``layer`` its merged weight. Returns ‖ΔW‖/‖W‖, and for each update whether it alone changes W."""
    weight: torch.Tensor = layer.get_parameter("weight")
    base = _to_matrix(layer, weight.detach().double())
    new, moved, floor = base.clone(), [], NO_EFFECT * float(base.norm())
    for update, adapter_weight in pairs:
        delta = _delta(update, base, adapter_weight)
        moved.append(float(delta.norm()) > floor)
        new += delta
    for update, adapter_weight in pairs:
        if update.bias is not None:  # the same factor as B·A's: B's bias is added to what it multiplies
            layer.get_parameter("bias").detach().add_(adapter_weight * update.scale * update.bias)
    rounded = _from_matrix(layer, new, weight.shape).to(weight.dtype)
    if not bool(torch.isfinite(rounded).all()):
        raise AdapterError(f"layer {pairs[0][0].path!r}: the merged weight has NaN or infinity in {weight.dtype}")
    layer.register_parameter("weight", nn.Parameter(rounded, requires_grad=weight.requires_grad))
    size = float(base.norm())
    return (float((new - base).norm()) / size if size > 0 else None), moved


def _delta(update: LowRankUpdate, base: torch.Tensor, weight: float) -> torch.Tensor:
    """ΔW [out, in] in float64: eq. 3 of Hu et al. 2021, or eq. 5 of Liu et al. 2024 minus W."""
    a = update.a.to(base).reshape(update.rank, -1)
    b = update.b.to(base).reshape(-1, update.rank)
    low_rank = weight * update.scale * (b @ a)
    if update.magnitude is None:
        return low_rank
    direction = base + low_rank
    norm: torch.Tensor = torch.linalg.vector_norm(direction, dim=1, keepdim=True)
    magnitude = update.magnitude.to(base).reshape(-1, 1)
    return magnitude * direction / norm - base


def _to_matrix(layer: nn.Module, weight: torch.Tensor) -> torch.Tensor:
    """The weight as [out, in]: what B·A has, whichever way round the layer stores it."""
    if isinstance(layer, Conv1D | nn.Embedding):
        return weight.T
    return weight.flatten(1)


def _from_matrix(layer: nn.Module, matrix: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Inverse of ``_to_matrix``."""
    return (matrix.T if isinstance(layer, Conv1D | nn.Embedding) else matrix).reshape(shape).contiguous()


def _replace(model: nn.Module, saved: SavedTensor) -> bool:
    """Put the saved tensor in place of the model's; returns False where that held the same values."""
    path, _, leaf = saved.name.rpartition(".")
    owner = model.get_submodule(path)
    current: torch.Tensor = getattr(owner, leaf)
    new = saved.tensor.to(device=current.device, dtype=current.dtype)
    if torch.equal(new, current):
        return False
    if saved.kind != "module":
        current.detach().copy_(new)  # in place: what shares this weight was trained with it
    elif leaf in owner._buffers:
        owner.register_buffer(leaf, new.clone())
    else:
        owner.register_parameter(leaf, nn.Parameter(new.clone(), requires_grad=current.requires_grad))
    return True


def _replace_rows(model: nn.Module, tokens: TokenRows) -> bool:
    """Put trained rows in place of the embedding's; returns False where it held the same values."""
    weight: torch.Tensor = model.get_submodule(tokens.path).get_parameter("weight").detach()
    indices, rows = torch.tensor(tokens.indices), tokens.rows.to(weight)
    if torch.equal(weight[indices], rows):
        return False
    weight[indices] = rows  # in place: what shares this weight was trained with it
    return True


def _resize_heads(model: nn.Module, changed: Sequence[str]) -> int | None:
    """Tell heads that came with another number of labels, and the config, about it; returns that number."""
    labels = None
    for name in changed:
        owner = model.get_submodule(name.rpartition(".")[0])
        if isinstance(owner, nn.Linear) and owner.out_features != owner.weight.shape[0]:
            owner.out_features = labels = owner.weight.shape[0]
    if labels is not None:
        model.config.num_labels = labels  # type: ignore[union-attr]  # also renews id2label
        model.num_labels = labels  # type: ignore[assignment]
    return labels


def _check_effects(adapters: Sequence[Adapter], effects: Sequence[bool]) -> None:
    for adapter, has_effect in zip(adapters, effects, strict=True):
        if not has_effect:
            raise AdapterError(
                f"adapter {adapter.path}: loaded, but has no effect: no layer changes by more than "
                f"{NO_EFFECT:g} of its norm and no saved tensor differs from the base's: was it saved before "
                "training?"
            )


def _notes(module: nn.Module, adapters: Sequence[Adapter]) -> Iterator[str]:
    base = getattr(getattr(module, "config", None), "_name_or_path", None)
    for adapter in adapters:
        yield from (f"{adapter.name}: {note}" for note in adapter.notes)
        if not any(_moves(update) for update in adapter.updates.values()):
            yield f"{adapter.name}: all of its low-rank updates are zero: only what it replaces whole has an effect"
        trained_on = adapter.config.base_model_name
        if base and trained_on and not _same_model(base, trained_on):
            yield f"{adapter.name}: was trained on {trained_on!r}; the base model was loaded from {base!r}"


def _moves(update: LowRankUpdate) -> bool:
    return update.magnitude is not None or update.bias is not None or bool(update.b.any() and update.a.any())


def _same_model(directory: str, name: str) -> bool:
    """Whether a directory's path names the model: ".../bert-base", ".../models--google--bert-base/snapshots/…"."""
    parts = directory.rstrip("/").split("/")
    return name.rstrip("/").rpartition("/")[2] in (part.rpartition("--")[2] for part in parts)


def _untie(module: nn.Module, merged: nn.Module) -> Iterator[str]:
    """Note the weights that were shared before the merge and aren't now, and keep a load from tying them."""
    after = dict(merged.named_parameters(remove_duplicate=False))
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    for shared in names.values():
        if len({id(after[name]) for name in shared}) > 1:
            if hasattr(merged, "config"):
                merged.config.tie_word_embeddings = False  # type: ignore[union-attr]
            yield f"{' and '.join(shared)} shared one weight and now have their own"
