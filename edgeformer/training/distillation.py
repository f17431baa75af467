"""What a student loses against its teacher inside; what it loses by its outputs is its task's (``tasks``).

responses of classification   T² · KL(softmax(t/T) ‖ softmax(s/T)), Hinton et al. 2015, "Distilling the Knowledge in a
                              Neural Network", section 2: T² keeps the gradients' size whatever the temperature. Mean
                              over rows, over real tokens for token classification, over start and end for answers
several labels at once        the same for each label's sigmoid, summed over labels
regression                    (s − t)²
feature extraction            ‖s − t‖² / ‖t‖², which is 2 · (1 − cosine) for normalized embeddings
labels                        cross-entropy, (s − label)² for regression, none for embeddings

Every loss is a mean that doesn't depend on how rows are batched or padded, and scale-free or in nats, so that one set
of weights suits models of different widths.

Legend: S positions, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def feature_loss(
    student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], real: torch.Tensor | None
) -> torch.Tensor:
    """Σ(s − t)² / Σt² over real positions, mean over mapped blocks; a scalar.

    The squared distance of hidden states of FitNets (Romero et al. 2015, eq. 3) and TinyBERT (Jiao et al. 2020, eq. 8;
    no projection: compression keeps the hidden size), divided by the teacher's own energy so that a family with large
    hidden states isn't weighted more.

    Args:
        student: one [B, S, H] a mapped block.
        teacher: the same shapes, in the same order.
        real: bool [B, S], False at padding; None where nothing is padded.
    """
    kept = slice(None) if real is None else real
    parts = [
        (s[kept] - t[kept]).square().sum() / t[kept].square().sum().clamp(min=1e-12)
        for s, t in zip(student, teacher, strict=True)
    ]
    return torch.stack(parts).mean()
