"""A scaling report as a picture: time, and beside it memory, against the length, both axes logarithmic."""

from __future__ import annotations

import html
import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from ..errors import InputError
from .plots import _plain, label_log_axis, plain_number
from .scaling import Scaling

_SETTINGS = {"svg.hashsalt": "edgeformer", "text.parse_math": False, "axes.grid": True, "grid.linewidth": 0.4}
_COLOURS = ("#0b6bcb", "#b4590d", "#2e7d32", "#7b1fa2", "#00838f", "#5d4037")
FORMATS = (".svg", ".png", ".html")


def write(scaling: Scaling, output: Path) -> None:
    """Write an .svg, a .png or an .html page with the picture and its figures. Raises InputError."""
    if output.suffix not in FORMATS:
        raise InputError(f"-o {output}: expected a name that ends in {', '.join(FORMATS)}")
    output.write_bytes(page(scaling) if output.suffix == ".html" else draw(scaling, output.suffix))


def draw(scaling: Scaling, suffix: str) -> bytes:
    """The picture's bytes; the same data gives the same. Raises InputError where nothing was measured."""
    lines = scaling.lines()
    if not lines:
        reasons = "; ".join(sorted({point.reason for point in scaling.points if point.reason}))
        raise InputError(f"report scaling: nothing was measured: {reasons or 'there are no points'}")
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(10, 4), layout="constrained")
        time_axes, memory_axes = figure.subplots(1, 2)
        for index, (name, points) in enumerate(lines.items()):
            style = {"color": _COLOURS[index % len(_COLOURS)], "marker": "o", "markersize": 3.5, "linewidth": 1.3}
            tokens = [point.tokens for point in points]
            time_axes.plot(tokens, [point.latency_ms for point in points], label=_plain(name), **style)
            held = [(point.tokens, point.peak_bytes / 2**20) for point in points if point.peak_bytes is not None]
            if held:
                memory_axes.plot(*zip(*held, strict=True), **style)
        for axes, label in ((time_axes, "ms for one text"), (memory_axes, "peak memory of the process, MiB")):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            _label_axes(axes)
            axes.set_xlabel("tokens")
            axes.set_ylabel(label)
        time_axes.legend(loc="upper left", frameon=False, fontsize=8)
        buffer = io.BytesIO()
        if suffix == ".png":
            FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
        else:
            FigureCanvasSVG(figure).print_svg(buffer, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        return buffer.getvalue()


def _label_axes(axes: Any) -> None:
    """Plain numbers on both axes, from what is drawn; an empty plot has none to show."""
    drawn = [line.get_xydata() for line in axes.get_lines()]
    for index, (axis, base) in enumerate(((axes.xaxis, 2), (axes.yaxis, 10))):
        values = [float(point[index]) for points in drawn for point in points if point[index] > 0]
        if values:
            label_log_axis(axis, min(values), max(values), plain_number, base)


def section(scaling: Scaling) -> str:
    """The picture and its table as a piece of HTML."""
    picture = draw(scaling, ".svg").decode()
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>" for cells in table(scaling)
    )
    head = "".join(f"<th>{name}</th>" for name in ("bundle", "variant", "tokens", "ms", "peak MiB", "ran on"))
    return (
        f"<section><h2>Time and memory against length</h2>\n{picture[picture.index('<svg') :]}\n"
        f"<table><tr>{head}</tr>\n{rows}</table>\n"
        f"<p>{scaling.threads} threads; each point a process of its own, the median of its runs, synthetic text.</p>"
        "</section>"
    )


def table(scaling: Scaling) -> list[tuple[str, ...]]:
    """bundle, variant, tokens, ms, MiB and what ran, or why nothing did, for each point."""
    return [
        (
            point.bundle,
            point.variant,
            str(point.tokens),
            "-" if point.latency_ms is None else f"{point.latency_ms:.1f}",
            "-" if point.peak_bytes is None else f"{point.peak_bytes / 2**20:.0f}",
            point.engine or point.reason or "",
        )
        for point in scaling.points
    ]


def page(scaling: Scaling) -> bytes:
    """A page that is ``section`` alone."""
    style = "body{font:15px sans-serif;max-width:65em;margin:2em auto}td,th{padding:2px 10px;text-align:left}"
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Time and memory against length</title>'
        f"<style>{style}</style>{section(scaling)}</html>\n"
    )
    return text.encode()
