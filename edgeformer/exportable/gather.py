"""Taking one position of each row, with operators that every exporter has."""

from __future__ import annotations

import torch


def at_position(hidden: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """[B, S, E] and int64 [B] to [B, E]."""
    chosen = torch.arange(hidden.shape[1], device=hidden.device)[None, :] == position[:, None]
    # a product with a row of one 1: gathers along a batch are no operator of every engine
    return (chosen[:, None, :].to(hidden.dtype) @ hidden)[:, 0]


def last_position(found: torch.Tensor) -> torch.Tensor:
    """bool or 0/1 [B, S] to int64 [B]: where the last 1 stands, 0 where there is none."""
    positions = torch.arange(found.shape[1], device=found.device)
    return (found.to(torch.int64) * positions).amax(dim=1)


def first_position(found: torch.Tensor) -> torch.Tensor:
    """bool or 0/1 [B, S] to int64 [B]: where the first 1 stands, 0 where there is none."""
    length = found.shape[1]
    # in floats, exact up to 2,048 in half precision: TensorRT before 10 has no maximum of integers
    from_end = torch.arange(length, 0, -1, device=found.device).to(torch.float32)
    furthest = (found.to(torch.float32) * from_end).amax(dim=1).to(torch.int64)
    return (length - furthest) * (furthest > 0).to(torch.int64)
