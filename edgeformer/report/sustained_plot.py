"""Sustained runs as a plot: throughput over minutes, and under it the temperature, one line a report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from edgeformer_runtime.measuring.findings import Sustained, Window

from ..errors import InputError
from .compare import Named
from .plots import _plain

_SETTINGS = {"svg.hashsalt": "edgeformer", "text.parse_math": False, "axes.grid": True, "grid.linewidth": 0.4}
_FORMATS = (".svg", ".png")
_COLOURS = ("#0b6bcb", "#b4590d", "#2e7d32", "#7b1fa2", "#00838f", "#5d4037")


def write_plot(reports: Sequence[Named], output: Path) -> None:
    """Draw the sustained runs of ``reports`` into an .svg or .png. Raises InputError where there is none."""
    if output.suffix not in _FORMATS:
        raise InputError(f"-o {output}: expected a name that ends in {' or '.join(_FORMATS)}")
    runs = [(item.name, item.report.sustained) for item in reports if item.report.sustained is not None]
    missing = [item.name for item in reports if item.report.sustained is None]
    if missing:
        raise InputError(
            f"{', '.join(missing)}: has no sustained run: expected a report of 'edgeformer-run bench BUNDLE "
            "--sustained --json FILE'"
        )
    output.write_bytes(draw(runs, output.suffix))


def draw(runs: Sequence[tuple[str, Sustained]], suffix: str) -> bytes:
    """The picture's bytes; the same data gives the same."""
    heat = any(window.temperature_c is not None for _, run in runs for window in run.windows)
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(8, 5.2 if heat else 3.6), layout="constrained")
        axes = figure.subplots(2 if heat else 1, 1, sharex=True, squeeze=False)[:, 0]
        for index, (name, run) in enumerate(runs):
            _draw_run(axes, _plain(name), run, _COLOURS[index % len(_COLOURS)])
        axes[0].set_ylabel("inferences per s")
        axes[0].set_ylim(bottom=0)
        if heat:
            axes[1].set_ylabel("temperature, °C")
        axes[-1].set_xlabel("minutes")
        axes[0].legend(loc="lower left", frameon=False)
        buffer = io.BytesIO()
        if suffix == ".svg":
            FigureCanvasSVG(figure).print_svg(buffer, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        else:
            FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
        return buffer.getvalue()


def _draw_run(axes: Any, name: str, run: Sustained, colour: str) -> None:
    minutes = [(window.start_s + window.duration_s / 2) / 60 for window in run.windows]
    axes[0].plot(
        minutes,
        [window.throughput_per_s for window in run.windows],
        color=colour,
        linewidth=1.4,
        label=f"{name}: {100 * run.kept:.0f} % kept",
    )
    throttled = [(at, window) for at, window in zip(minutes, run.windows, strict=True) if window.throttles]
    axes[0].plot(
        [at for at, _ in throttled],
        [window.throughput_per_s for _, window in throttled],
        "v",
        color=colour,
        markersize=5,
        label=f"{name}: throttled" if throttled else None,
    )
    if len(axes) > 1:
        axes[1].plot(minutes, [_temperature(window) for window in run.windows], color=colour, linewidth=1.4)


def _temperature(window: Window) -> float:
    return float("nan") if window.temperature_c is None else window.temperature_c
