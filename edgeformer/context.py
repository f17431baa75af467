"""PassContext: what a pass, and the algorithms that it is made of, may know beside their own configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgeformer_runtime.device.target import Target

from .data.encoded import EncodedSamples
from .data.splits import Data
from .errors import InputError
from .model.base import Model
from .stages import Stages, source_digest

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class PassContext:
    """What a pass may know beside its own configuration.

    ``data`` holds the rows that choices are made on; its evaluation rows are not for passes. ``uncompressed`` is the
    complete model before the first compressing pass, the teacher of a recovery.
    """

    targets: tuple[Target, ...] = ()
    progress: Callable[[str], None] = lambda message: None
    allow_pickle: bool = False
    data: Data | None = None
    uncompressed: Model | None = None
    stages: Stages | None = None
    threads: int = 1
    seed: int = 0

    def calibration(self, model: Model, user: str, min_rows: int = 1) -> EncodedSamples:
        """The calibration rows as ``model`` encodes them, for the pass or algorithm named ``user``.

        Raises:
            InputError: no file was given, or it holds fewer than ``min_rows`` rows.
        """
        rows = None if self.data is None else self.data.calibration
        if rows is None or rows.samples is None:
            raise InputError(f"{user} chooses by real inputs: give --calibration FILE (labels are not needed)")
        if len(rows) < min_rows:
            raise InputError(
                f"{user} needs at least {min_rows} calibration rows, {rows.samples.path} gives {len(rows)}: add rows"
            )
        found = rows.encoded(model)
        if found.noted is not None:
            self.progress(f"calibration rows: {found.noted}")
        return found

    def kept(
        self, name: str, key: Mapping[str, Any], make: Callable[[], tuple[Tensors, Mapping[str, Any]]]
    ) -> tuple[Tensors, Mapping[str, Any]]:
        """What ``make`` returns (tensors by name, and plain JSON data), taken from an earlier equal run where kept.

        ``key`` must hold all that the result depends on: the digests of model and rows, and the pass's settings.
        The source of edgeformer is added here.
        """
        from safetensors.torch import load_file, save_file

        if self.stages is None:
            return make()

        def make_in(directory: Path) -> Mapping[str, Any]:
            tensors, facts = make()
            # safetensors refuses tensors that share memory
            save_file({key: t.detach().contiguous().clone() for key, t in tensors.items()}, directory / "tensors")
            return facts

        full_key = {**key, "seed": self.seed, "source": source_digest("edgeformer")}
        directory, facts = self.stages.directory(name, full_key, make_in)
        return load_file(directory / "tensors"), facts
