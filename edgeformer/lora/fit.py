"""Whether an adapter fits a base model, is complete, and can be combined with others; each misfit said by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..errors import AdapterError
from .adapter import Adapter, LowRankUpdate, SavedTensor
from .config import ALL_LINEAR

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_SUPPORTED = (nn.Linear, Conv1D, nn.Embedding, *_CONVOLUTIONS)
_SUPPORTED_NAMES = "Linear, Conv1D (GPT-2's), Embedding, Conv1d, Conv2d, Conv3d"
_HEAD_NAMES = ("score", "classifier")  # what "all-linear" leaves out in a sequence classifier, as in peft


def without_absent_parts(module: nn.Module, adapter: Adapter) -> Adapter:
    """``adapter`` without what belongs to modules that were left out on purpose, such as an unused pooler; noted.

    A module that was left out is there by name, as None.
    """
    absent = {path for path in (*adapter.updates, *map(_owner, adapter.saved)) if _left_out(module, path)}
    if not absent:
        return adapter
    return replace(
        adapter,
        updates={path: update for path, update in adapter.updates.items() if path not in absent},
        saved={name: saved for name, saved in adapter.saved.items() if _owner(name) not in absent},
        notes=(*adapter.notes, f"not used: {', '.join(sorted(absent))}: the task's output doesn't come from it"),
    )


def _owner(parameter: str) -> str:
    return parameter.rpartition(".")[0]


def _left_out(module: nn.Module, path: str) -> bool:
    current: object = module
    for part in path.split("."):
        if not hasattr(current, part):
            return False
        current = getattr(current, part)
        if current is None:
            return True
    return False


def check_fits(module: nn.Module, adapter: Adapter) -> None:
    """Raise AdapterError where ``adapter`` wasn't trained on a model like ``module``, or its files aren't whole."""
    _check_family(module, adapter)
    _check_updates(module, adapter)
    _check_saved(module, adapter)
    _check_token_rows(module, adapter)
    _check_complete(module, adapter)


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
        if update.bias is not None and getattr(layer, "bias", None) is None:
            raise AdapterError(f"adapter {adapter.path}: adds to the bias of {path!r}, which has none (lora_bias)")


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
    if update.bias is not None:
        wanted["the bias of lora_B"], found["the bias of lora_B"] = [out], list(update.bias.shape)
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
        if saved.tensor.is_floating_point() != current.is_floating_point():
            raise AdapterError(
                f"adapter {adapter.path}: {name!r} is {saved.tensor.dtype} in its file, but {current.dtype} in the "
                "base model: the file is damaged, or quantized: save the adapter in floating point"
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


def _check_token_rows(module: nn.Module, adapter: Adapter) -> None:
    for path, tokens in adapter.tokens.items():
        layer = _submodule(module, adapter, path)
        if not isinstance(layer, nn.Embedding):
            raise AdapterError(f"adapter {adapter.path}: has rows of tokens for {path!r}, a {type(layer).__name__}")
        if path in adapter.updates or f"{path}.weight" in adapter.saved:
            raise AdapterError(f"adapter {adapter.path}: {path!r} is trained twice: its rows of tokens, and as a whole")
        if min(tokens.indices) < 0 or max(tokens.indices) >= layer.num_embeddings:
            raise AdapterError(
                f"adapter {adapter.path}: has a row for token {max(tokens.indices)}, but the base's {path!r} has "
                f"{layer.num_embeddings} rows: resize the base's token embeddings as in training and save it"
            )
        if tokens.rows.shape[1] != layer.embedding_dim:
            raise AdapterError(
                f"adapter {adapter.path}: doesn't fit the base model: {path!r} is {layer.embedding_dim} wide, its rows "
                f"of tokens {tokens.rows.shape[1]}: give the base that the adapter was trained on"
            )


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
        if name in adapter.saved:
            continue
        if adapter.config.saves(name) or (adapter.config.bias == "all" and name.endswith(".bias")):
            why = "modules_to_save covers" if adapter.config.saves(name) else "bias='all' trained"
            raise AdapterError(
                f"adapter {adapter.path}: {why} {name!r}, but the file doesn't hold it: the file is incomplete"
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


def check_combination(adapters: Sequence[Adapter]) -> None:
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
