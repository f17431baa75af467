"""Fitting a base model to the adapters before they are merged: the width of their head, their rows of tokens.

peft puts an adapter into the model that the user prepared for training: with a head for his labels, and with rows for
tokens that he added. Its directory says neither, but its tensors have their shapes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..errors import AdapterError
from .adapter import Adapter


@dataclass(frozen=True)
class BaseChange:
    """What was changed in a base model. ``untrained`` names what now holds zeros until the adapters are merged."""

    head_width: int | None = None
    vocab_size: int | None = None
    untrained: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def fit_base(module: nn.Module, adapters: Sequence[Adapter]) -> BaseChange:
    """Give ``module``, in place, the head's width and the embedding's rows that ``adapters`` bring.

    Raises:
        AdapterError: adapters with heads of different widths, or rows of which some came from nowhere.
    """
    untrained: set[str] = set()
    notes: list[str] = []
    width = _fit_head(module, adapters, untrained)
    rows = _fit_embedding(module, adapters, untrained, notes)
    return BaseChange(width, rows, frozenset(untrained), tuple(notes))


def _fit_head(module: nn.Module, adapters: Sequence[Adapter], untrained: set[str]) -> int | None:
    """The width of the adapters' trained head, where the module's last layer has another."""
    current = getattr(getattr(module, "config", None), "num_labels", None)
    found: dict[int, Adapter] = {}
    for path, layer in list(module.named_modules()):
        if not isinstance(layer, nn.Linear) or layer.out_features != current:
            continue
        for adapter in adapters:
            saved = adapter.saved.get(f"{path}.weight")
            if saved is None or saved.kind != "module" or saved.tensor.shape[1:] != layer.weight.shape[1:]:
                continue
            width = saved.tensor.shape[0]
            if width != current:
                found[width] = adapter
                _resize(layer, width)
                untrained |= {f"{path}.{name}" for name, _ in layer.named_parameters()}
    if len(found) > 1:
        said = " and ".join(f"{adapter.name} has {width} outputs" for width, adapter in found.items())
        raise AdapterError(f"the trained heads of the adapters differ: {said}: only one can be used")
    if not found:
        return None
    module.config.num_labels = next(iter(found))  # type: ignore[union-attr]  # also renews id2label
    module.num_labels = next(iter(found))  # type: ignore[assignment]
    return next(iter(found))


def _resize(layer: nn.Linear, width: int) -> None:
    layer.weight = nn.Parameter(layer.weight.new_zeros(width, layer.in_features), requires_grad=False)
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.new_zeros(width), requires_grad=False)
    layer.out_features = width


def input_embedding(module: nn.Module) -> nn.Embedding | None:
    """The table that tokens are looked up in; None where the family has none that transformers tells of."""
    getter = getattr(module, "get_input_embeddings", None)
    try:
        layer = getter() if callable(getter) else None
    except NotImplementedError:  # CANINE hashes characters: it has no table of tokens
        layer = None
    return layer if isinstance(layer, nn.Embedding) else None


def _fit_embedding(module: nn.Module, adapters: Sequence[Adapter], untrained: set[str], notes: list[str]) -> int | None:
    """The number of token rows that the adapters were trained with, where the base has another."""
    layer = input_embedding(module)
    path = next((name for name, owner in module.named_modules() if owner is layer), None)
    if layer is None or path is None:
        return None
    base = layer.num_embeddings
    rows = base
    for adapter in adapters:
        saved, tokens = adapter.saved.get(f"{path}.weight"), adapter.tokens.get(path)
        if saved is not None and saved.tensor.dim() == 2 and saved.tensor.shape[1] == layer.embedding_dim:
            rows = saved.tensor.shape[0]
            if rows != base:
                notes.append(f"{adapter.name}: was trained with {rows} rows of tokens, the base has {base}: resized")
                untrained.add(f"{path}.weight")
        elif tokens is not None and max(tokens.indices, default=0) >= base:
            rows = max(tokens.indices) + 1
            absent = sorted(set(range(base, rows)) - set(tokens.indices))
            if absent:
                raise AdapterError(
                    f"adapter {adapter.path}: brings rows for tokens up to {rows - 1}, the base model has {base}, and "
                    f"those of {', '.join(map(str, absent[:5]))} are in neither: resize the base's token embeddings "
                    "as in training, save it, and give that"
                )
            notes.append(f"{adapter.name}: brings {rows - base} rows of tokens more than the base's {base}")
            untrained.add(f"{path}.weight")
    if rows == base:
        return None
    with torch.no_grad():
        grown = layer.weight.new_zeros(rows, layer.embedding_dim)
        grown[: min(rows, base)] = layer.weight[:rows]
    layer.weight = nn.Parameter(grown, requires_grad=False)
    layer.num_embeddings = rows
    module.config.vocab_size = rows  # type: ignore[union-attr]
    return rows


def labels_for_head(
    given: Sequence[str], known: tuple[str, ...], change: BaseChange, adapters: Sequence[Adapter]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the head's outputs, () where none fit, and notes on those that came from the base model.

    Args:
        given: what the user said.
        known: ``given``, else what an adapter's or the base's config.json says.
        change: what ``fit_base`` found.
        adapters: those of the call.

    Raises:
        AdapterError: ``given`` has another number of names than the trained head has outputs.
    """
    width = change.head_width
    from_base = not given and not any((adapter.path / "config.json").is_file() for adapter in adapters)
    if width is not None and given and len(given) != width:
        raise AdapterError(
            f"the adapter's trained head has {width} outputs, but {len(given)} labels are named: {', '.join(given)}. "
            f"Name {width}, in the order of training"
        )
    if width is not None and len(known) != width:
        said = f"; the base model's own ({', '.join(known[:5])}) are those of another head" if _named(known) else ""
        return (), (f"the adapter's head has {width} outputs and no names: give them with --labels A,B,…{said}",)
    if from_base and _named(known) and any(s.kind == "module" for a in adapters for s in a.saved.values()):
        return known, (f"labels are the base model's ({', '.join(known[:5])}): the adapter names none for its head",)
    return known, ()


def _named(labels: Sequence[str]) -> bool:
    return any(label != f"LABEL_{index}" for index, label in enumerate(labels))


def refuse_unsaved_heads(module: nn.Module, untrained: Collection[str], adapters: Sequence[Adapter]) -> None:
    """Raise AdapterError where layers behind the encoder are in no file, though an adapter was trained with them.

    They were random when training began. peft trains and saves them only where modules_to_save names them, and its
    default ("classifier", "score" or "qa_outputs") isn't what every family calls its head.
    """
    prefix = str(getattr(module, "base_model_prefix", ""))
    poolers = {f"{prefix}.pooler", "pooler"}  # part of the encoder, but masked-word pretraining doesn't make one
    lost = {
        name.rpartition(".")[0]
        for name in untrained
        if not name.startswith(f"{prefix}.") or any(name.startswith(f"{pooler}.") for pooler in poolers)
    }
    if not lost or not adapters:
        return
    names = sorted(lost)
    saved = list(dict.fromkeys(name for adapter in adapters for name in adapter.config.modules_to_save))
    raise AdapterError(
        f"adapter {adapters[0].path}: {', '.join(names)} {'is' if len(names) == 1 else 'are'} neither in the base "
        f"model's files nor in the adapter's (modules_to_save: {', '.join(saved) or 'none'}): random when training "
        "began, and lost since. Give the base model that training began with, saved with its head; or train again with "
        f"modules_to_save={[*saved, *(_saves_only(module, name) for name in names)]}"
    )


def _saves_only(module: nn.Module, path: str) -> str:
    """A name for modules_to_save that means the layer at ``path`` alone: peft compares the ends of paths."""
    others = [name for name, _ in module.named_modules() if name != path and name.endswith(path)]
    return f"model.{path}" if others else path
