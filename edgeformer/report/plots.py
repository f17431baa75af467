"""Plots as inline SVG: drawn by matplotlib without dates or identifiers, in colours that follow the page's theme.

The same data always gives the same text.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

# stand-ins that the drawing uses, and what the page's style sheet puts in their place
_INK, _MUTED, _ACCENT, _REFUSED, _BEFORE, _PAPER = (f"#01020{digit}" for digit in range(6))
_THEME = {
    _INK: "var(--ink)",
    _MUTED: "var(--line)",
    _ACCENT: "var(--accent)",
    _REFUSED: "var(--refused)",
    _BEFORE: "var(--before)",
    _PAPER: "var(--paper)",
}
_SETTINGS = {
    "svg.hashsalt": "edgeformer",
    "svg.fonttype": "none",
    "font.size": 11,
    "text.parse_math": False,  # a dollar sign in a layer's name is a dollar sign
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _MUTED,
    "grid.linewidth": 0.5,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}
_WIDTH = 6.0  # inches: at a phone's width the text is still read
_LONGEST_LABEL = 44
_SHADES = 48
_MOST_TICKS = 5  # on a colour bar, whose labels would touch otherwise


@dataclass(frozen=True)
class Point:
    """One candidate in a frontier plot. ``metric`` and its interval are shares."""

    label: str
    x: float
    metric: float
    interval: tuple[float, float] | None
    kind: str  # "before" | "chosen" | "refused"


def frontier(points: Sequence[Point], x_label: str, y_label: str, name: str) -> str:
    """x against the metric, with 95 % intervals; the chosen point is filled, refused ones are hollow."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(_WIDTH, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for kind, marker, colour, label in (
            ("before", "D", _BEFORE, "uncompressed"),
            ("refused", "o", _REFUSED, "tried and refused"),
            ("chosen", "o", _ACCENT, "chosen"),
        ):
            some = [point for point in points if point.kind == kind]
            if some:
                fill = "none" if kind == "refused" else colour
                _draw(axes, some, marker, colour, fill, label)
        for point in points:
            axes.annotate(point.label, (point.x, 100 * point.metric), xytext=(7, 5), textcoords="offset points")
        values = [point.x for point in points]
        if min(values) > 0 and max(values) / min(values) > 4:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter("")
            axes.set_xticks(_ticks(min(values), max(values)))
        axes.margins(0.12)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        figure.legend(loc="outside upper center", ncols=3)
        return _svg(figure, name)


def _draw(axes: Any, points: Sequence[Point], marker: str, colour: str, fill: str, label: str) -> None:
    x = [point.x for point in points]
    y = [100 * point.metric for point in points]
    for point in points:
        if point.interval is not None:
            axes.vlines(point.x, 100 * point.interval[0], 100 * point.interval[1], color=colour, linewidth=1.2)
    axes.plot(x, y, marker, color=colour, markerfacecolor=fill, markersize=8, label=label, linestyle="none")


def _ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten around the data: few enough to stay readable."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    inside = [tick for tick in ticks if low / 1.3 <= tick <= high * 1.3]
    return inside or [low, high]


def label_log_axis(
    axis: Any, low: float, high: float, label: Callable[[float], str], base: int = 10, most: int = 8
) -> None:
    """At most ``most`` ticks with labels of our own: matplotlib writes those of a log axis in mathtext."""
    ticks = _ticks(low, high) if base == 10 else []
    if not 1 < len(ticks) <= most:
        first, last = math.ceil(math.log(low, base) - 1e-9), math.floor(math.log(high, base) + 1e-9)
        step = max(1, math.ceil((last - first + 1) / most))
        ticks = [float(base) ** power for power in range(first, last + 1, step)] or sorted({low, high})
    labels = {label(tick): tick for tick in ticks}  # ends of a narrow range may read alike
    axis.set_ticks(list(labels.values()), list(labels))
    axis.set_minor_locator(NullLocator())


def power_of_ten(value: float) -> str:
    """0.00002 as "2e-5"."""
    digits, power = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"


def plain_number(value: float) -> str:
    """Whole from 100 on, three significant digits below; never with an exponent above 1e-4."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def heat_map(
    layers: Sequence[str], formats: Sequence[str], damage: Sequence[Sequence[float | None]], unit: str, name: str
) -> str:
    """Damage of each layer (rows) in each format (columns) on a logarithmic scale; blank where none was measured."""
    values = np.array([[math.nan if cell is None else cell for cell in row] for row in damage], dtype=float)
    positive = values[np.isfinite(values) & (values > 0)]
    low, high = (positive.min(), positive.max()) if positive.size else (1e-12, 1.0)
    shown = np.maximum(values, low)  # zero or below: the smallest that was seen; NaN stays blank
    with mpl.rc_context({**_SETTINGS, "axes.grid": False, "font.size": 9}):
        figure = Figure(figsize=(_WIDTH, 1.1 + 0.19 * len(layers)), layout="constrained")
        axes = figure.add_subplot()
        mesh = axes.pcolormesh(
            shown,
            cmap=mpl.colormaps["YlOrRd"].resampled(_SHADES),
            norm=LogNorm(low, max(high, low * 1.0001)),
            edgecolors=_PAPER,
            linewidth=0.5,
        )
        axes.set_xticks(np.arange(len(formats)) + 0.5, [_plain(text) for text in formats])
        axes.set_yticks(np.arange(len(layers)) + 0.5, [_plain(text) for text in layers])
        axes.tick_params(length=0)
        axes.xaxis.tick_top()
        axes.invert_yaxis()
        for spine in axes.spines.values():
            spine.set_visible(False)
        bar = figure.colorbar(mesh, ax=axes, orientation="horizontal", shrink=0.8, aspect=40, pad=0.02)
        if bar.solids is not None:
            bar.solids.set_rasterized(False)  # a page that loads nothing has no pictures
        label_log_axis(bar.ax.xaxis, low, max(high, low * 1.0001), power_of_ten, most=_MOST_TICKS)
        bar.set_label(_plain(unit, 80))
        return _svg(figure, name)


def _plain(text: str, longest: int = _LONGEST_LABEL) -> str:
    """Printable ASCII that fits: matplotlib has no glyphs for the rest, and the table beside the plot has the name."""
    shown = "".join(character if " " <= character <= "~" else "?" for character in text)
    return shown if len(shown) <= longest else f"...{shown[3 - longest :]}"


def _svg(figure: Figure, name: str) -> str:
    """The figure as an <svg> element for an HTML page: no prolog, no metadata, identifiers led by ``name``."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\s+xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r'(<svg[^>]*?)\s+width="([\d.]+)pt"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?)\s+height="([\d.]+)pt"', r"\1", text, count=1)
    text = re.sub(r"font: ([^;\"]*?) '[^;\"]*sans-serif", r"font: \1 sans-serif", text)
    for stand_in, variable in _THEME.items():
        text = text.replace(stand_in, variable)
    return text.replace("<svg", '<svg role="img"', 1)
