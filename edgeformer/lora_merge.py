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
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from .errors import AdapterError
from .lora import ALL_LINEAR, Adapter, LowRankUpdate, SavedTensor

# Relative changes up to this are rounding (ten times float32's): recomputing DoRA's norm alone makes them.
NO_EFFECT = 1e-6

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_SUPPORTED = (nn.Linear, Conv1D, nn.Embedding, *_CONVOLUTIONS)
_SUPPORTED_NAMES = "Linear, Conv1D (GPT-2's), Embedding, Conv1d, Conv2d, Conv3d"
_HEAD_NAMES = ("score", "classifier")  # what "all-linear" leaves out in a sequence classifier, as in peft


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
    for adapter in adapters:
        _check_family(module, adapter)
        _check_updates(module, adapter)
        _check_saved(module, adapter)
        _check_complete(module, adapter)
    _check_combination(adapters)

    merged = copy.deepcopy(module)
    effects = [False] * len(adapters)  # by the adapter's place: did it change anything by itself?
    replaced, labels = _install_saved(merged, adapters, effects)
    layers = _merge_updates(merged, adapters, effects)
    _check_effects(adapters, effects)
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


# --- does an adapter fit? -----------------------------------------------------------------------------------


def _check_family(module: nn.Module, adapter: Adapter) -> None:
    """Compare the transformers family ("bert", "roberta") that the adapter records with the module's."""
    expected, got = _family(adapter.config.base_model_module or ""), _family(type(module).__module__)
    if expected and got and expected != got:
        raise AdapterError(
            f"adapter {adapter.path}: was trained on a {expected!r} model, but the base model is a {got!r} "
            f"one ({type(module).__name__}): give the base that it was trained on"
        )


def _family(python_module: str) -> str | None:
    parts = python_module.split(".")
    return parts[2] if parts[:2] == ["transformers", "models"] and len(parts) > 2 else None


def _check_updates(module: nn.Module, adapter: Adapter) -> None:
    for path, update in adapter.updates.items():
        layer = _submodule(module, adapter, path)
        if not isinstance(layer, _SUPPORTED):
            raise AdapterError(
                f"adapter {adapter.path}: layer {path!r} is a {type(layer).__name__}: only "
                f"{_SUPPORTED_NAMES} can be merged into"
            )
        if not layer.weight.is_floating_point():
            raise AdapterError(f"adapter {adapter.path}: layer {path!r} is quantized ({layer.weight.dtype})")
        if isinstance(layer, _CONVOLUTIONS) and layer.groups != 1:
            raise AdapterError(f"adapter {adapter.path}: layer {path!r} is a grouped convolution: not supported")
        _check_shapes(adapter, layer, update)


def _check_shapes(adapter: Adapter, layer: nn.Module, update: LowRankUpdate) -> None:
    out, *inputs = _logical_shape(layer)
    if isinstance(layer, nn.Embedding) != update.embedding:
        expected = "lora_embedding_A/B" if isinstance(layer, nn.Embedding) else "lora_A/B"
        raise AdapterError(
            f"adapter {adapter.path}: layer {update.path!r} is a {type(layer).__name__}: expected {expected}"
        )
    ones = [1] * (len(inputs) - 1)
    wanted = {"lora_A": [update.rank, *inputs], "lora_B": [out, update.rank, *ones]}
    found = {"lora_A": list(update.a.shape), "lora_B": list(update.b.shape)}
    for part, shape in wanted.items():
        if found[part] != shape:
            raise AdapterError(
                f"adapter {adapter.path}: doesn't fit the base model: layer {update.path!r}, whose weight is "
                f"{list(layer.get_parameter('weight').shape)}, expects {part} {shape}, got {found[part]}: "
                "give the base that the adapter was trained on"
            )
    if update.magnitude is not None and update.magnitude.numel() != out:
        raise AdapterError(
            f"adapter {adapter.path}: layer {update.path!r} expects a lora_magnitude_vector of {out} "
            f"elements, got {list(update.magnitude.shape)}"
        )


def _logical_shape(layer: nn.Module) -> list[int]:
    """The weight's shape as [out, in, *kernel]."""
    shape = list(layer.get_parameter("weight").shape)
    return shape[::-1] if isinstance(layer, Conv1D | nn.Embedding) else shape


def _check_saved(module: nn.Module, adapter: Adapter) -> None:
    for name, saved in adapter.saved.items():
        path, _, leaf = name.rpartition(".")
        owner = _submodule(module, adapter, path)
        current = getattr(owner, leaf, None)
        if not isinstance(current, torch.Tensor):
            raise AdapterError(
                f"adapter {adapter.path}: has {name!r}, but the base model's {type(owner).__name__} {path!r} "
                f"has no {leaf!r}"
            )
        if saved.kind == "embedding" and not _is_embedding(module, owner) and path not in adapter.updates:
            raise AdapterError(
                f"adapter {adapter.path}: tensor {name!r} is unknown: neither LoRA, nor in modules_to_save, "
                "nor an embedding"
            )
        if saved.tensor.shape != current.shape and not _is_resized_head(module, owner, saved, current):
            raise AdapterError(
                f"adapter {adapter.path}: doesn't fit the base model: {name!r} is expected to be "
                f"{list(current.shape)}, got {list(saved.tensor.shape)}{_resize_hint(saved)}"
            )
    _check_resized_heads(module, adapter)


def _is_embedding(module: nn.Module, owner: nn.Module) -> bool:
    getters = (getattr(module, name, None) for name in ("get_input_embeddings", "get_output_embeddings"))
    return any(owner is getter() for getter in getters if callable(getter))


def _is_resized_head(module: nn.Module, owner: nn.Module, saved: SavedTensor, current: torch.Tensor) -> bool:
    """A trained head may have another number of labels than the one freshly made for the base model."""
    labels = getattr(getattr(module, "config", None), "num_labels", None)
    is_head = saved.kind == "module" and isinstance(owner, nn.Linear) and owner.out_features == labels
    return is_head and saved.tensor.dim() > 0 and saved.tensor.shape[1:] == current.shape[1:]


def _resize_hint(saved: SavedTensor) -> str:
    if saved.kind != "embedding":
        return ": give the base that the adapter was trained on"
    return ": the vocabulary was resized in training: resize the base's token embeddings likewise and save it"


def _check_resized_heads(module: nn.Module, adapter: Adapter) -> None:
    """A head's weight and bias must agree on the number of labels."""
    for name, saved in adapter.saved.items():
        path, _, leaf = name.rpartition(".")
        bias = adapter.saved.get(f"{path}.bias")
        if leaf != "weight" or bias is None or not isinstance(module.get_submodule(path), nn.Linear):
            continue
        if saved.tensor.shape[0] != bias.tensor.shape[0]:
            raise AdapterError(
                f"adapter {adapter.path}: the head {path!r} has a weight for {saved.tensor.shape[0]} labels, "
                f"but a bias for {bias.tensor.shape[0]}"
            )


def _submodule(module: nn.Module, adapter: Adapter, path: str) -> nn.Module:
    try:
        return module.get_submodule(path)
    except AttributeError:
        raise AdapterError(
            f"adapter {adapter.path}: doesn't fit the base model: {type(module).__name__} has no layer "
            f"{path!r}{_path_hint(module, path)}"
        ) from None


def _path_hint(module: nn.Module, path: str) -> str:
    paths = [name for name, _ in module.named_modules() if name]
    prefix = f"{getattr(module, 'base_model_prefix', '')}."
    if path.removeprefix(prefix) != path and path.removeprefix(prefix) in paths:
        return ": the adapter was trained on a model with a task head: load the base model with that head"
    if prefix + path in paths:
        return ": the adapter was trained on the bare model: load the base model without a task head"
    nearest = difflib.get_close_matches(path, paths, n=1)
    return f": the nearest is {nearest[0]!r}" if nearest else ""


# --- is an adapter complete? --------------------------------------------------------------------------------


def _check_complete(module: nn.Module, adapter: Adapter) -> None:
    """Every layer that the config names has its tensors in the file, and the other way round."""
    if adapter.config.target_modules is not None:
        targeted = set(_targeted(module, adapter))
        for path in sorted(targeted - adapter.updates.keys()):
            raise AdapterError(
                f"adapter {adapter.path}: target_modules names the layer {path!r}, but the file has no LoRA "
                "tensors for it: the file is incomplete, or was trained on another base model"
            )
        for path in sorted(adapter.updates.keys() - targeted):
            raise AdapterError(
                f"adapter {adapter.path}: has LoRA tensors for the layer {path!r}, which target_modules and "
                "its restrictions don't name: config and tensors aren't of the same adapter"
            )
    for name in module.state_dict():
        if adapter.config.saves(name) and name not in adapter.saved:
            raise AdapterError(
                f"adapter {adapter.path}: modules_to_save covers {name!r}, but the file doesn't hold it: "
                "the file is incomplete"
            )


def _targeted(module: nn.Module, adapter: Adapter) -> Iterator[str]:
    """Paths of the layers that the config's target_modules selects in ``module``."""
    config = adapter.config
    all_linear = isinstance(config.target_modules, str) and config.target_modules.lower() == ALL_LINEAR
    for path, layer in module.named_modules():
        if all_linear:
            is_linear = isinstance(layer, nn.Linear | Conv1D)
            if is_linear and not config.bars(path) and not _is_output(module, adapter, path, layer):
                yield path
        elif isinstance(layer, _SUPPORTED) and config.targets(path):
            yield path


def _is_output(module: nn.Module, adapter: Adapter, path: str, layer: nn.Module) -> bool:
    """Whether "all-linear" leaves this layer out, as peft does: the output embedding, or the classifier."""
    getter = getattr(module, "get_output_embeddings", None)
    output = getter() if callable(getter) else None
    if output is not None:
        return layer is output
    return adapter.config.task_type == "SEQ_CLS" and path in _HEAD_NAMES


# --- combinations, effects, notes ---------------------------------------------------------------------------


def _check_combination(adapters: Sequence[Adapter]) -> None:
    """Refuse what isn't a sum: DoRA beside another update, a parameter replaced twice, or also updated."""
    for index, first in enumerate(adapters):
        for second in adapters[index + 1 :]:
            _check_pair(first, second)
            _check_replaced_and_updated(first, second)
            _check_replaced_and_updated(second, first)


def _check_pair(first: Adapter, second: Adapter) -> None:
    names = f"adapters {first.name} and {second.name}"
    for path in sorted(first.updates.keys() & second.updates.keys()):
        if first.config.use_dora or second.config.use_dora:
            raise AdapterError(
                f"{names} both change the layer {path!r}, and one is DoRA: it rescales the whole weight, so "
                "there is no sum of the two: merge one of them alone, or train them as one"
            )
    for name in sorted(first.saved.keys() & second.saved.keys()):
        if not torch.equal(first.saved[name].tensor, second.saved[name].tensor):
            raise AdapterError(f"{names} both replace {name!r}, with different values: only one can be used")


def _check_replaced_and_updated(first: Adapter, second: Adapter) -> None:
    for path in second.updates:
        if f"{path}.weight" in first.saved and f"{path}.weight" not in second.saved:
            raise AdapterError(
                f"adapter {first.name} replaces the weight of {path!r}, to which adapter {second.name} adds: "
                "the addition was trained on another weight, so they can't be combined"
            )


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
        trained_on = adapter.config.base_model_name
        if base and trained_on and base != trained_on:
            yield f"{adapter.name}: was trained on {trained_on!r}; the base model was loaded from {base!r}"


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
