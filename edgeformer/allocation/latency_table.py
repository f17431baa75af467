"""Latency of a linear layer by shape and format, measured in the engine that will run it.

A layer's bits say little about its speed: ONNX Runtime runs some 4-bit forms slower than float32. So every entry is a
median of real runs of a real export: the layer alone, one row of ``sequence_length`` tokens, with its activations
quantized as that engine does it. What a layer costs inside a whole model differs a little (a graph has fusions, and
each run a fixed cost); ``rest_ms`` is what a whole float32 model took beyond the sum of its linears, where measured.
"""

from __future__ import annotations

import json
import math
import platform
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeformer_converters.base import CONVERTERS, REFERENCE_FORMAT, ExportRequest, VariantPlan, get_converter, require
from edgeformer_converters.ops import QuantizedLinear, WeightFormat
from edgeformer_runtime.bundle.manifest import SEQUENCE, VariantEntry, one_graph
from edgeformer_runtime.measuring.steadiness import warm_up
from edgeformer_runtime.measuring.turns import in_turns
from edgeformer_runtime.variants.execution import VariantRunner
from edgeformer_runtime.variants.feeds import synthetic_feeds

from ..errors import InputError
from ..model.base import Model, from_module
from ..quantization import rtn
from ..sensitivity.candidates import FLOAT
from ..stages import Stages, source_digest

LATENCY_TABLE_VERSION = 1
ROUNDS = 10
RUNS_A_ROUND = 10
Shape = tuple[int, int]  # [out_features, in_features]


@dataclass(frozen=True)
class LatencyEntry:
    """One layer: y = x · Wᵀ + b with W [out_features, in_features] in ``format``."""

    out_features: int
    in_features: int
    format: str
    median_ms: float
    runs: int

    def __post_init__(self) -> None:
        if not 0 < self.median_ms < math.inf or self.runs < 1 or min(self.out_features, self.in_features) < 1:
            raise InputError(f"latency table: {self}: expected positive sizes, runs and milliseconds")


@dataclass(frozen=True)
class LatencyTable:
    """Medians of one engine on one machine, one row of ``sequence_length`` tokens at a time."""

    engine: str  # "onnxruntime", "litert"
    version: str | None
    machine: str
    threads: int
    sequence_length: int
    entries: tuple[LatencyEntry, ...]
    rest_ms: float | None = None

    def latency_ms(self, shape: Shape, format: str) -> float:
        """Milliseconds of one layer; raises InputError naming a shape or format that isn't in the table."""
        for entry in self.entries:
            if (entry.out_features, entry.in_features, entry.format) == (*shape, format):
                return entry.median_ms
        known = sorted({e.format for e in self.entries if (e.out_features, e.in_features) == shape})
        what = f"has this shape only as {', '.join(known)}" if known else "doesn't have this shape"
        raise InputError(
            f"latency table ({self.engine}, {self.machine}): no entry for {shape[0]}x{shape[1]} as {format}: it "
            f"{what}. Measure it on that engine, or leave the format out"
        )

    def to_json(self) -> str:
        """Text that ``from_json`` reads back as an equal table."""
        return json.dumps({"latency_table_version": LATENCY_TABLE_VERSION, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> LatencyTable:
        """The inverse of ``to_json``; raises InputError saying what is wrong."""
        try:
            data = json.loads(text)
            version = data.pop("latency_table_version", None)
            if version != LATENCY_TABLE_VERSION:
                raise InputError(
                    f"latency table: latency_table_version = {version!r}: this edgeformer reads {LATENCY_TABLE_VERSION}"
                )
            entries = tuple(LatencyEntry(**entry) for entry in data.pop("entries"))
            return cls(**data, entries=entries)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"latency table: malformed: {type(error).__name__}: {error}") from error


def load(path: Path) -> LatencyTable:
    """A table measured here or brought from a device; raises InputError naming the file."""
    try:
        return LatencyTable.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"latency table {path}: can't be read: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def measured_formats() -> tuple[str, ...]:
    """Formats whose files run here as they do on devices."""
    found = {name: get_converter(name) for name in CONVERTERS}
    return tuple(name for name, item in found.items() if item.host_engine().as_on_device and not item.on_request)


def measure(
    shapes: Sequence[Shape],
    formats: Sequence[str],
    *,
    format_name: str = REFERENCE_FORMAT,
    sequence_length: int = 128,
    threads: int = 1,
    stages: Stages | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> LatencyTable:
    """Export each (shape, format) alone, and time all of them in turns, so that a slow moment hits each alike.

    Args:
        shapes: [out_features, in_features]; each is measured once.
        formats: ``WeightFormat`` texts and "float32"; one that a shape's columns can't have is left out.
        format_name: one of ``measured_formats()``.
        sequence_length: tokens a run.
        threads: of the engine.
        stages: keeps the table for an equal call on the same machine.
        progress: called with a line a layer.

    Raises:
        ExportError, MissingExtraError: the format can't carry a layer, or isn't installed.
    """
    if format_name not in measured_formats():
        expected = " or ".join(measured_formats())
        raise InputError(f"latency table: format {format_name!r} has no engine here: expected {expected}")
    wanted = [(s, f) for s in dict.fromkeys(shapes) for f in dict.fromkeys(formats) if _fits(s, f)]
    if not wanted:
        raise InputError("latency table: no shape can have any of the formats, so there is nothing to measure")
    if stages is None:
        return _measure(wanted, format_name, sequence_length, threads, progress)
    key = {
        "wanted": [[*shape, format] for shape, format in wanted],
        "format_name": format_name,
        "sequence_length": sequence_length,
        "threads": threads,
        "machine": [platform.node(), platform.machine()],
        "source": [source_digest(name) for name in ("edgeformer", "edgeformer_converters", "edgeformer_runtime")],
    }

    def make(_: Path) -> Mapping[str, Any]:
        return {"table": _measure(wanted, format_name, sequence_length, threads, progress).to_json()}

    return LatencyTable.from_json(stages.directory(f"latency table {format_name}", key, make)[1]["table"])


def _measure(
    wanted: Sequence[tuple[Shape, str]],
    format_name: str,
    sequence_length: int,
    threads: int,
    progress: Callable[[str], None],
) -> LatencyTable:
    runners: list[VariantRunner] = []
    engine, version = "", None
    with tempfile.TemporaryDirectory(prefix="edgeformer-latency-") as directory:
        try:
            for number, (shape, format) in enumerate(wanted):
                progress(f"latency table: exporting {shape[0]}x{shape[1]} as {format}, {number + 1} of {len(wanted)}")
                place = Path(directory) / str(number)
                place.mkdir()
                runner = _exported(shape, format, format_name, sequence_length, threads, place)
                engine, version = runner.variant.engine, runner.label
                runners.append(runner)
            latencies = _time_in_turns(runners, sequence_length)
        finally:
            for runner in runners:
                runner.close()
    entries = tuple(
        LatencyEntry(*shape, format, statistics.median(times), len(times))
        for (shape, format), times in zip(wanted, latencies, strict=True)
    )
    return LatencyTable(engine, version, platform.machine(), threads, sequence_length, entries)


def _time_in_turns(runners: Sequence[VariantRunner], sequence_length: int) -> list[tuple[float, ...]]:
    calls = {
        index: partial(runner.run, synthetic_feeds(runner.inputs, {SEQUENCE: sequence_length}))
        for index, runner in enumerate(runners)
    }
    for call in calls.values():
        warm_up(call)
    turns = in_turns(calls, ROUNDS, runs=RUNS_A_ROUND, unwatched=1)
    return [turns.all_ms(index) for index in calls]


def _exported(
    shape: Shape, format: str, format_name: str, sequence_length: int, threads: int, directory: Path
) -> VariantRunner:
    model = _one_layer(shape, format)
    converter = get_converter(format_name)
    require(converter)
    plan = VariantPlan(name=format_name, format=format_name, targets=())
    request = ExportRequest(
        model.callable_module(), model.inputs, model.outputs, model.example_inputs, (sequence_length,), plan
    )
    made = converter.export(request, directory)
    entry = VariantEntry(
        name=format_name,
        format=format_name,
        engine=made.engine,
        graphs=one_graph(f"variants/{format_name}/{made.path}"),
        size_bytes=(directory / made.path).stat().st_size,
        lengths={SEQUENCE: tuple(made.sequence_lengths)} if made.sequence_lengths else {},
        fixed_batch=made.fixed_batch,
    )
    loaded = get_converter(entry.format).host_engine().load(directory / made.path, entry, threads)
    return VariantRunner(loaded, entry, model.inputs, model.outputs)


def _one_layer(shape: Shape, format: str) -> Model:
    """A model of one linear [R, C] on float32 [batch, sequence, C]; random weights, since only shapes matter."""
    rows, columns = shape
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(columns**-0.5)
    layer: torch.nn.Module
    if format == FLOAT:
        layer = torch.nn.Linear(columns, rows)
        layer.weight = torch.nn.Parameter(torch.from_numpy(weight), requires_grad=False)
    else:
        layer = QuantizedLinear(rtn.quantize(weight, WeightFormat.parse(format)), torch.zeros(rows))
    example = torch.from_numpy(rng.standard_normal((2, 16, columns), dtype=np.float32))
    module = torch.nn.Sequential(layer).requires_grad_(False)
    return from_module(module, {"x": example}, name="layer", dynamic={"x": {0: "batch", 1: "sequence"}})


def _fits(shape: Shape, format: str) -> bool:
    block = None if format == FLOAT else WeightFormat.parse(format).block_size
    return block is None or shape[1] % block == 0
