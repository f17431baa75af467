"""No sensor: the reason why there are no watts."""

from __future__ import annotations

from typing import Sequence

from .base import Found, PowerReading, Surroundings


def search(here: Surroundings) -> Found:
    """Nothing, anywhere."""
    return Found()


def unavailable(found: Found, silent: Sequence[str] = ()) -> PowerReading:
    """The reading of a device without watts. ``silent``: meters that exist and gave no value, and why."""
    reasons = [*silent, *found.refused]
    why = f"no power sensor that can be read, of {len(found.places)} places looked at"
    if reasons:
        why += ": " + "; ".join(reasons)
    return PowerReading("unavailable", "none", reason=why, looked_at=found.places)
