"""What a power sensor family is: one file in this folder, one entry in ``power.FAMILIES``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Protocol, Tuple

from ..errors import SensorError

STATUSES = ("measured", "estimated", "unavailable")


@dataclass(frozen=True)
class Place:
    """Somewhere that a sensor could have been, and what was found there."""

    path: str
    exists: bool
    note: str  # what it would give, or why it gives nothing


@dataclass(frozen=True)
class PowerReading:
    """Power, or the reason why there is none. A number that wasn't measured or estimated is None, never 0."""

    status: str  # one of STATUSES
    family: str  # file in this folder that it came from
    watts: Optional[float] = None
    scope: Optional[str] = None  # what the number covers: "board input", "module", "cpu package"
    rail: Optional[str] = None  # "VDD_IN"
    model: Optional[str] = None  # of an estimate: formula and its uncertainty
    reason: Optional[str] = None  # why it is unavailable
    looked_at: Tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise SensorError(f"power status {self.status!r}: expected one of {', '.join(STATUSES)}")
        available = self.status != "unavailable"
        if available != (self.watts is not None) or available == (self.reason is not None):
            raise SensorError(
                f"power reading of {self.family}: {self.status} with watts {self.watts} and reason "
                f"{self.reason!r}: expected watts when there is a reading, else a reason"
            )
        if available and not self.scope:
            raise SensorError(f"power reading of {self.family}: the scope is missing: say what the watts cover")

    def to_dict(self) -> Dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


class Family(Protocol):
    """One kind of sensor."""

    name: str

    def places(self, root: Path) -> Tuple[Place, ...]:
        """Where this family looks, and what is there. Never raises."""

    def read(self, root: Path) -> PowerReading:
        """One reading; "unavailable" with a reason where there is no such sensor. Never raises."""
