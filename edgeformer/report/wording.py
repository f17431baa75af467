"""Figures as a person reads them. None is a dash; the reason stands beside it."""

from __future__ import annotations

from collections.abc import Sequence

DASH = "–"


def percent(share: float | None, digits: int = 2) -> str:
    """0.8123 as "81.23 %"."""
    return DASH if share is None else f"{100 * share:.{digits}f} %"


def points(share: float | None) -> str:
    """A drop of 0.0123 as "1.23 points", with a minus sign for a rise."""
    if share is None:
        return DASH
    text = f"{abs(100 * share):.2f}"
    return f"{'−' if share < 0 and text != '0.00' else ''}{text} points"


def interval(bounds: Sequence[float] | None, digits: int = 2) -> str:
    """(0.1, 0.2) as "10.00 to 20.00", in percent or points."""
    if bounds is None:
        return DASH
    low, high = (f"{'−' if bound < 0 else ''}{abs(100 * bound):.{digits}f}" for bound in bounds)
    return f"{low} to {high}"


def size(size_bytes: float | None) -> str:
    """Megabytes (10^6 bytes), or kilobytes below 0.1 MB."""
    if size_bytes is None:
        return DASH
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def times(ratio: float | None) -> str:
    """7.25 as "7.25×"."""
    return DASH if ratio is None else f"{ratio:.2f}×"


def milliseconds(value: float | None) -> str:
    """Three significant digits."""
    return DASH if value is None else f"{value:.3g} ms" if value < 100 else f"{value:.0f} ms"


def probability(value: float | None) -> str:
    """A p-value; small ones as a bound."""
    return DASH if value is None else "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def cosine(value: float | None) -> str:
    """Six digits: the gates lie at 0.995 and 0.999."""
    return DASH if value is None else f"{value:.6f}"


def number(value: float | None) -> str:
    """Three significant digits, whole numbers with thin groups."""
    if value is None:
        return DASH
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:.3g}"
