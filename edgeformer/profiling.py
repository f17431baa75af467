"""sensitivity(): a profile of a model on calibration rows, from a directory to a ``Profile``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from .data.splits import Data, Rows, read_data
from .errors import InputError, RecipeError
from .loading.load import load_model
from .model.base import Model
from .passes.allocate import kept_profile
from .passes.base import PassContext, run_passes
from .passes.merge_lora import AdapterSource, MergeLora
from .quantization import QUANTIZERS
from .rows.samples import has_pairs
from .sensitivity.measure import ProfileSettings
from .sensitivity.profile import Profile
from .stages import Stages, default_cache

DEFAULT_FORMATS = ("int8", "int4", "int4-block32")
DEFAULT_ROWS = 256
_MAX_LENGTH = 128


def sensitivity(
    model: str | os.PathLike[str] | Model,
    *,
    calibration: str | os.PathLike[str],
    adapters: Sequence[str] = (),
    formats: Sequence[str] = DEFAULT_FORMATS,
    algorithm: str = "mse",
    metric: bool = False,
    exact: bool = False,
    max_rows: int = DEFAULT_ROWS,
    resume: bool = True,
    progress: Callable[[str], None] = lambda message: None,
) -> Profile:
    """The damage of each layer in each format.

    Args:
        model: a Hugging Face directory, or a ``Model``.
        calibration: CSV or JSONL rows; with ``metric`` labelled ones.
        adapters: peft directories to merge first, ``"dir"`` or ``"dir=weight"``.
        formats: ``WeightFormat`` texts.
        algorithm: how integers are chosen.
        metric: the task's metric as well, which takes whole runs.
        exact: run every change to the outputs; otherwise gradients take over behind the changed block.
        max_rows: rows used at most.
        resume: reuse the profile of an earlier, equal call.
        progress: called with lines that say how far it is.

    Raises:
        InputError: a file or a setting is wrong.
    """
    if algorithm not in QUANTIZERS:
        raise RecipeError(f"sensitivity: algorithm {algorithm!r}: expected one of {', '.join(QUANTIZERS)}")
    if max_rows < 1:
        raise InputError(f"sensitivity: {max_rows} rows: expected at least 1")
    settings = ProfileSettings(
        tuple(dict.fromkeys(formats)), algorithm, blocks_after=None if exact else 0, metric=metric
    )
    sources = tuple(AdapterSource.parse(item) for item in adapters)
    found = _loaded(model, sources, has_pairs(Path(calibration)))
    for note in found.notes:
        progress(f"note: {note}")
    stages = Stages(default_cache() if resume else None, progress)
    try:
        merged = run_passes(found, (MergeLora(sources),), PassContext(stages=stages, progress=progress)).model
        rows = _rows(merged, calibration, max_rows)
        context = PassContext(data=Data(rows, rows, rows, rows), stages=stages, progress=progress)
        return kept_profile(merged, rows.encoded(merged), settings, context)
    finally:
        stages.close()


def _loaded(model: str | os.PathLike[str] | Model, sources: Sequence[AdapterSource], pair_rows: bool) -> Model:
    if isinstance(model, Model):
        return model
    return load_model(model, adapters=[Path(source.path) for source in sources], pair_rows=pair_rows)


def _rows(model: Model, calibration: str | os.PathLike[str], max_rows: int) -> Rows:
    longest = min(_MAX_LENGTH, model.max_length or _MAX_LENGTH)
    return read_data(model, longest, calibration, None).calibration.first(max_rows)
