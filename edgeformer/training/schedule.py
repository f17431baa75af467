"""In which order rows are learned from, and how the learning rate goes: both follow from the seed and counters alone.

So a resumed run needs no state of any random generator.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

# rows of this many batches are sorted by length together: little padding, and still another order in every epoch
_BATCHES_A_POOL = 16


def epoch_batches(lengths: Sequence[int], size: int, seed: int, epoch: int) -> list[tuple[int, ...]]:
    """Indices of rows in batches of at most ``size``, each row once; rows of a batch are of like length."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    pool = size * _BATCHES_A_POOL
    batches = []
    for start in range(0, len(order), pool):
        rows = sorted(order[start : start + pool], key=lambda index: lengths[index])
        batches += [tuple(rows[first : first + size]) for first in range(0, len(rows), size)]
    shuffled = torch.randperm(len(batches), generator=generator).tolist()
    return [batches[index] for index in shuffled]


def learning_rate_factor(share_done: float, warmup: float) -> float:
    """Share of the peak learning rate when ``share_done`` (0…1) of the training is over: up, then down in lines.

    Linear warm-up and decay as in Devlin et al. 2019, appendix A.2. With a limit in minutes the caller gives the larger
    of the shares of steps and of time, so that the decay ends with the budget (Li et al. 2020, "Budgeted Training").
    """
    if share_done < warmup:
        return share_done / warmup
    return max(0.0, (1 - share_done) / (1 - warmup))
