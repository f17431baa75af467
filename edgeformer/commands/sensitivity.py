"""The work of `edgeformer sensitivity`: a profile of a model on calibration rows, as JSON and as a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ..data.splits import Data, Rows, read_data
from ..errors import InputError, RecipeError
from ..loading.load import load_model
from ..model.base import Model
from ..passes.allocate import kept_profile
from ..passes.base import PassContext, run_passes
from ..passes.merge_lora import AdapterSource, MergeLora
from ..quantization import QUANTIZERS
from ..recipe import ExportSettings, Recipe
from ..rows.samples import has_pairs
from ..sensitivity.measure import ProfileSettings
from ..sensitivity.profile import LayerProfile, Profile
from ..stages import Stages, default_cache
from ..terminal.table import percent, text_table

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
    recipe = Recipe(export=ExportSettings(sequence_lengths=(longest,)))
    rows = read_data(model, max(recipe.export.sequence_lengths), calibration, None).calibration
    return rows.first(max_rows)


def write_profile(profile: Profile, path: Path) -> None:
    """Write the JSON in one step: there is the whole file or none."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        made.write_text(profile.to_json(), encoding="utf-8")
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def profile_table(profile: Profile) -> str:
    """Layers × formats for a terminal: the damage, and the metric where it was measured."""
    header = ("layer", "role", "shape", "MB float32", *profile.formats)
    rows = [_row(layer, profile) for layer in profile.layers]
    head = f"{profile.model_name}: {profile.damage_unit} when one layer alone changes, {profile.rows} rows, " + (
        f"integers by {profile.algorithm}"
    )
    lines = [head, text_table(header, rows)]
    if profile.metric_unchanged is not None:
        lines.append(f"in brackets the metric; unchanged it is {percent(profile.metric_unchanged)}")
    refusals = {entry.reason for layer in profile.layers for entry in layer.formats.values() if entry.reason}
    return "\n".join(lines + [f"- : {reason}" for reason in sorted(refusals)])


def _row(layer: LayerProfile, profile: Profile) -> tuple[str, ...]:
    cells = []
    for name in profile.formats:
        entry = layer.formats[name]
        cell = "-" if entry.damage is None else f"{entry.damage:.2e}"
        cells.append(cell if entry.metric is None else f"{cell} ({percent(entry.metric)})")
    shape = "x".join(map(str, layer.shape))
    return (layer.path, layer.role, shape, f"{layer.size_bytes_float32 / 1e6:.2f}", *cells)


def profile_json(profile: Profile) -> dict[str, object]:
    """What `edgeformer sensitivity --json` prints."""
    return dict(profile.to_dict())


__all__ = ["DEFAULT_FORMATS", "DEFAULT_ROWS", "profile_json", "profile_table", "sensitivity", "write_profile"]
