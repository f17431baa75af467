"""Power: which families of sensors exist, and what this device has. A new family is one file and one line
here.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Dict, Tuple

from ..errors import SensorError
from .base import Family, Place, PowerReading

# Asked in this order; the first that is not "unavailable" is taken. "none" comes last and lists where was
# looked.
FAMILIES: Dict[str, str] = {"none": ".none"}

__all__ = ["FAMILIES", "Family", "Place", "PowerReading", "get_family", "probe", "read"]


def get_family(name: str) -> Family:
    """The family called ``name``; raises SensorError naming those that exist."""
    if name not in FAMILIES:
        raise SensorError(f"power sensor family {name!r} is unknown: expected one of {', '.join(FAMILIES)}")
    family: Family = import_module(FAMILIES[name], __name__).FAMILY
    return family


def probe(root: Path = Path("/")) -> Tuple[Place, ...]:
    """Every place where a sensor was looked for, and what is there."""
    return tuple(place for name in FAMILIES for place in get_family(name).places(root))


def read(root: Path = Path("/")) -> PowerReading:
    """One reading of the first family that has a sensor here; else "unavailable" with the places looked
    at.
    """
    reading = get_family("none").read(root)
    for name in FAMILIES:
        candidate = get_family(name).read(root)
        if candidate.status != "unavailable":
            return candidate
    return reading
