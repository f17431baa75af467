"""The torch side of trimming: the input embedding, what is tied to it, and the ids that a config mentions.

Legend: V rows of the table before, K rows after, H columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from edgeformer_converters.ops import QuantizedEmbedding

from ..errors import ModelError, RecipeError


def reads_tokens(module: torch.nn.Module) -> bool:
    """False for a model of images or sounds, by what its transformers class calls its main input."""
    return getattr(module, "main_input_name", "input_ids") == "input_ids"


def input_table(module: torch.nn.Module) -> torch.nn.Embedding:
    """The embedding [V, H] of token ids.

    Raises:
        RecipeError: it is already quantized.
        ModelError: the module has none, or one that isn't a plain ``nn.Embedding``.
    """
    getter = getattr(module, "get_input_embeddings", None)
    try:
        table = getter() if callable(getter) else None
    except NotImplementedError:  # transformers' answer of a model without token ids
        table = None
    if isinstance(table, QuantizedEmbedding):
        raise RecipeError("the embedding is already quantized: put trim_vocabulary before quantize")
    if type(table) is not torch.nn.Embedding:
        raise ModelError(f"no embedding of token ids that can be trimmed: expected nn.Embedding, got {_kind(table)}")
    return table


def check_outputs(module: torch.nn.Module) -> None:
    """Raise ModelError for a language-model head that isn't tied: its rows are tokens too."""
    getter = getattr(module, "get_output_embeddings", None)
    head = getter() if callable(getter) else None
    weight = getattr(head, "weight", None)
    if weight is not None and weight is not input_table(module).weight:
        raise ModelError(
            f"the model predicts tokens with a head of its own ({_kind(head)}, not tied to the embedding). Tie it, or "
            "leave trim_vocabulary out"
        )


def mentioned_ids(module: torch.nn.Module) -> set[int]:
    """Ids that the model's code or config uses by number: padding, begin, end, mask."""
    found = {int(value) for value in _config_ids(module).values()}
    padding = input_table(module).padding_idx
    return found if padding is None else found | {padding}


def position_offset(module: torch.nn.Module) -> int:
    """How many of the first ids must keep their numbers.

    RoBERTa's kind counts positions from its padding id on, and tells its position table so by a ``padding_idx``.
    """
    table = input_table(module)
    offsets = [
        layer.padding_idx + 1
        for layer in module.modules()
        if isinstance(layer, torch.nn.Embedding) and layer is not table and layer.padding_idx is not None
    ]
    return max(offsets, default=0)


def trim_tables(module: torch.nn.Module, ids: Sequence[int]) -> None:
    """Keep rows ``ids`` (ascending) of the input embedding of ``module``, in place; tied layers stay tied."""
    table = input_table(module)
    rows = torch.tensor(list(ids), dtype=torch.int64)
    old = table.weight
    new = torch.nn.Parameter(old.detach()[rows].clone(), requires_grad=old.requires_grad)
    new_ids = {index: position for position, index in enumerate(ids)}
    mentioned = _config_ids(module)
    for layer in module.modules():
        if getattr(layer, "weight", None) is old:
            _trim_layer(layer, new, rows, new_ids)
    config: Any = getattr(module, "config", None)
    if config is not None:
        for name, index in mentioned.items():
            setattr(config, name, new_ids[index])
        config.vocab_size = len(ids)


def _trim_layer(
    layer: torch.nn.Module, weight: torch.nn.Parameter, rows: torch.Tensor, new_ids: Mapping[int, int]
) -> None:
    layer.weight = weight
    if isinstance(layer, torch.nn.Embedding):
        layer.num_embeddings = len(rows)
        layer.padding_idx = None if layer.padding_idx is None else new_ids[layer.padding_idx]
        return
    bias = getattr(layer, "bias", None)
    if isinstance(bias, torch.nn.Parameter):
        layer.bias = torch.nn.Parameter(bias.detach()[rows].clone(), requires_grad=bias.requires_grad)
    layer.out_features = len(rows)  # type: ignore[assignment]


def _config_ids(module: torch.nn.Module) -> dict[str, int]:
    """``*_token_id`` of the config that are ids of the table (some configs keep -1 or ids of other models)."""
    config = getattr(module, "config", None)
    values: dict[str, Any] = {} if config is None else config.to_dict()
    size = input_table(module).num_embeddings
    return {
        name: value
        for name, value in values.items()
        if name.endswith("_token_id") and isinstance(value, int) and 0 <= value < size
    }


def _kind(thing: object) -> str:
    return "none" if thing is None else type(thing).__name__
