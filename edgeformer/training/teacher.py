"""What the teacher says of each row: computed once where it fits in memory, else again for every batch.

Legend: B rows, S positions, H hidden size, M mapped blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from ..data.batching import Batch, make_batch, padded_batches
from ..data.encoded import EncodedSamples
from ..model.base import Model
from .blocks import block_outputs

# MiniLM's six blocks over 6,000 sentences take 0.7 GB
CACHE_BYTES = 3 * 2**29


@dataclass(frozen=True)
class Lesson:
    """The teacher's outputs for one batch, and its hidden states [B, S, H] by mapped block."""

    outputs: tuple[torch.Tensor, ...]
    features: tuple[torch.Tensor, ...]


class Teacher:
    """A frozen model that is asked about batches of ``samples``.

    ``cached`` says whether every row's answer is kept (hidden states in float16); ``reason`` why not. The choice
    follows from the rows alone, never from the machine, and what it says of a batch never from when it is asked: a
    resumed run gets equal lessons.
    """

    def __init__(
        self, model: Model, samples: EncodedSamples, blocks: Sequence[int], cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._model = model
        self._blocks = tuple(blocks)
        self._module = model.callable_module()
        self._by_token = ["sequence" in spec.shape for spec in model.outputs]
        self._rows: dict[int, Lesson] = {}
        self.reason: str | None = None
        needed = self._feature_bytes(samples)
        if needed > cache_bytes:
            self.reason = f"hidden states would take {needed / 1e9:.1f} GB, more than {cache_bytes / 1e9:.1f} GB"
            return
        for batch in padded_batches(model, samples):
            lesson = self._ask(batch)
            if any(not torch.isfinite(hidden.half()).all() for hidden in lesson.features):
                self.reason = "hidden states exceed float16's range"
                self._rows.clear()
                return
            self._rows.update(_by_row(batch, lesson, self._by_token))

    @property
    def cached(self) -> bool:
        """Whether lessons come from memory."""
        return self.reason is None

    def lesson(self, batch: Batch) -> Lesson:
        """What the teacher says of a batch that holds rows of the samples."""
        if not self.cached:
            return self._ask(batch)
        rows = [self._rows[index] for index in batch.indices]
        outputs = zip(*(row.outputs for row in rows), strict=True)
        features = zip(*(row.features for row in rows), strict=True)
        return Lesson(
            tuple(_together(column, by_token) for column, by_token in zip(outputs, self._by_token, strict=True)),
            tuple(_together(column, True).float() for column in features),
        )

    def _ask(self, batch: Batch) -> Lesson:
        with torch.no_grad(), block_outputs(self._model, self._blocks) as hidden:
            outputs = self._module(*batch.tensors)
        return Lesson(tuple(outputs), tuple(hidden[index] for index in self._blocks))

    def _feature_bytes(self, samples: EncodedSamples) -> int:
        """Bytes of all hidden states in float16."""
        if not self._blocks:
            return 0
        signature = self._model.signature
        first = self._ask(make_batch(self._model, samples, [0]))
        numbers = sum(hidden.numel() for hidden in first.features)
        rows = float(len(samples.feeds))  # of equally many positions
        if signature.padded:
            rows = sum(map(signature.row_length, samples.feeds)) / signature.row_length(samples.feeds[0])
        return round(rows * numbers) * 2


def _by_row(batch: Batch, lesson: Lesson, by_token: Sequence[bool]) -> dict[int, Lesson]:
    """Each row's part of a lesson, without padding; hidden states in float16."""
    rows = {}
    whole = [None] * len(batch.indices)  # nothing is padded
    lengths = whole if batch.real is None else batch.real.sum(dim=1).tolist()
    for place, (index, length) in enumerate(zip(batch.indices, lengths, strict=True)):
        cut = zip(lesson.outputs, by_token, strict=True)
        rows[index] = Lesson(
            tuple((output[place, :length] if tokens else output[place]).clone() for output, tokens in cut),
            tuple(hidden[place, :length].half() for hidden in lesson.features),
        )
    return rows


def _together(rows: Sequence[torch.Tensor], by_token: bool) -> torch.Tensor:
    """Rows as one tensor, those of tokens padded with zeros to the longest."""
    return pad_sequence(list(rows), batch_first=True) if by_token else torch.stack(list(rows))
