"""Learned position embeddings for inputs longer than a model was trained on.

``tile`` repeats the table (Beltagy et al. 2020, section 5: "copy initialization"): inputs that fitted before give the
same results as before. ``interpolate`` stretches it linearly, which moves every position.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch.nn import functional as F

from ..errors import ModelError

Method = Literal["tile", "interpolate"]
METHODS: tuple[Method, ...] = get_args(Method)


def position_table(module: torch.nn.Module) -> tuple[str, torch.nn.Embedding]:
    """Path and table of the learned positions; raises ModelError where there is none, or more than one."""
    tables = {
        path: part
        for path, part in module.named_modules()
        if isinstance(part, torch.nn.Embedding) and path.rpartition(".")[2] == "position_embeddings"
    }
    if len(tables) != 1:
        found = "no learned position embeddings" if not tables else f"several ({', '.join(tables)})"
        raise ModelError(
            f"{type(module).__name__} has {found}, so there is no table of positions to extend. Rotary and relative "
            "positions have no table: their length is the config's max_position_embeddings"
        )
    return next(iter(tables.items()))


def unused_rows(table: torch.nn.Embedding) -> int:
    """Rows in front that no position uses: RoBERTa and its children count from the padding id + 1."""
    return 0 if table.padding_idx is None else int(table.padding_idx) + 1


def extend_positions(module: torch.nn.Module, length: int, method: Method) -> None:
    """Let ``module`` take ``length`` tokens, changing it in place; its config and buffers follow.

    Raises:
        ModelError: no table of positions, or one that has ``length`` rows already.
    """
    path, table = position_table(module)
    offset = unused_rows(table)
    trained = table.weight.detach()[offset:]
    if length <= len(trained):
        raise ModelError(f"layer {path}: has {len(trained)} positions already, which is enough for {length} tokens")
    rows = torch.cat([table.weight.detach()[:offset], _extended(trained, length, method)])
    made = torch.nn.Embedding(len(rows), rows.shape[1], padding_idx=table.padding_idx, device="meta")
    made.weight = torch.nn.Parameter(rows.contiguous(), requires_grad=table.weight.requires_grad)
    parent = module.get_submodule(path.rpartition(".")[0])
    parent.position_embeddings = made.train(table.training)
    for name, buffer in list(parent.named_buffers(recurse=False)):
        if name == "position_ids":
            setattr(parent, name, torch.arange(len(rows), dtype=buffer.dtype).expand(1, -1))
        elif name == "token_type_ids":
            setattr(parent, name, torch.zeros(1, len(rows), dtype=buffer.dtype))
    module.config.max_position_embeddings = len(rows)  # type: ignore[union-attr]


def _extended(rows: torch.Tensor, length: int, method: Method) -> torch.Tensor:
    """float [P, D] to [length, D]."""
    if method == "tile":
        return rows[torch.arange(length) % len(rows)]
    # position p of the new table lies at p · (P - 1) / (length - 1) of the old one
    stretched = F.interpolate(rows.T[None].float(), size=length, mode="linear", align_corners=True)
    return stretched[0].T.to(rows.dtype)
