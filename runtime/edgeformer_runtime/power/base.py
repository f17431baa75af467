"""What a source of watts is. One family of sensors a file in this folder, one entry in ``power.FAMILIES``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Protocol, Sequence, Tuple

from ..errors import SensorError

STATUSES = ("measured", "estimated", "unavailable")


class NotYetError(SensorError):
    """An energy counter was read once: there is power as soon as an interval has passed."""


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


class Meter(Protocol):
    """One source of watts, open for reading."""

    @property
    def family(self) -> str:
        """The file in this folder: ``jetson_ina3221``."""

    @property
    def status(self) -> str:
        """``measured`` or ``estimated``."""

    @property
    def scope(self) -> str:
        """What the watts cover: "module", "board input", "cpu package", "battery", "rails", "external meter" …"""

    @property
    def rail(self) -> Optional[str]:
        """``VDD_IN``; a sum says its parts: ``GPU+CPU+SOC``."""

    @property
    def model(self) -> Optional[str]:
        """Of an estimate: the formula and its error. None where the watts are measured."""

    @property
    def resolution_w(self) -> Optional[float]:
        """One step of the converter in W, None where unknown."""

    @property
    def accuracy_fraction(self) -> Optional[float]:
        """Published gain error of the source, 0.01 is 1 %; None where none is published."""

    @property
    def min_interval_s(self) -> float:
        """Reading faster gives the same value again, or costs what it measures."""

    def read_watts(self) -> float:
        """Power now in W; of a counter the mean since the previous call.

        The first call on a counter raises NotYetError. Raises SensorError with the reason when there is no value;
        never a guess, never 0 for what is missing.
        """

    def energy_j(self) -> Optional[float]:
        """Energy since the meter was opened in J, never decreasing, wraps undone. None where there is no counter.

        Raises SensorError when the counter can't be read.
        """

    def sub_rails(self) -> Mapping[str, Optional[float]]:
        """Watts of the parts by name, None where one can't be read. Never raises."""

    def close(self) -> None:
        """Let go of files and buses. Closing twice is fine."""


@dataclass(frozen=True)
class Found:
    """What a look for sensors gave."""

    meters: Tuple[Meter, ...] = ()  # best first: a measured total before a part before an estimate
    places: Tuple[Place, ...] = ()  # all that was looked at
    refused: Tuple[str, ...] = ()  # "family: why it isn't used"

    def close(self) -> None:
        """Close every meter."""
        for meter in self.meters:
            meter.close()


# Runs a command and gives its standard output. Raises SensorError with the reason: missing, failed, took too long.
Run = Callable[[Sequence[str]], str]


@dataclass(frozen=True)
class Surroundings:
    """Where families look. Tests put their own in."""

    root: Path  # stands in for the file system's root
    environ: Mapping[str, str]
    run: Run


class Family(Protocol):
    """One kind of sensor: a module of this folder with ``search``."""

    def search(self, here: Surroundings) -> Found:
        """The meters of this family, where it looked, and what it refused ("why", without the family's name)."""
