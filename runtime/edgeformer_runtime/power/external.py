"""A meter of the user's own: an object with ``read_watts()``, or the log of a meter that stands beside the device.

    session.benchmark(meter=power.external.wrap(my_meter))        # my_meter.read_watts() -> watts now, as a float
    EDGEFORMER_POWER_LOG=meter.csv edgeformer-run bench BUNDLE     # a log that grows while the benchmark runs

What the meter covers is the user's to say (EDGEFORMER_POWER_SCOPE, or the argument ``scope``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Mapping, Optional, Protocol

from ..errors import SensorError
from .base import Found, Place, Surroundings
from .ina2xx import stated_scope
from .power_log import LogMeter
from .sysfs import positive_watts

FAMILY = "external"
SCOPE = "external meter"
LOG_VARIABLE = "EDGEFORMER_POWER_LOG"
OFFSET_VARIABLE = "EDGEFORMER_POWER_LOG_OFFSET_S"


class Source(Protocol):
    """What ``wrap`` takes."""

    def read_watts(self) -> float:
        """Watts now."""


class ExternalMeter:
    """A user's object. Whatever it raises or returns wrongly is a SensorError with the reason."""

    family = FAMILY
    status = "measured"
    model: Optional[str] = None

    def __init__(
        self,
        source: Source,
        name: str,
        scope: str,
        min_interval_s: float,
        resolution_w: Optional[float],
        accuracy_fraction: Optional[float],
    ) -> None:
        self._source = source
        self.rail: Optional[str] = name
        self.scope = scope
        self.min_interval_s = min_interval_s
        self.resolution_w = resolution_w
        self.accuracy_fraction = accuracy_fraction

    def read_watts(self) -> float:
        """W now. Raises SensorError."""
        try:
            watts = float(self._source.read_watts())
        except SensorError:
            raise
        except Exception as error:  # it is the user's code: whatever it does must not end the benchmark
            raise SensorError(f"external meter {self.rail}: {type(error).__name__}: {error}") from error
        return positive_watts(watts, f"external meter {self.rail}", 1e5)

    def energy_j(self) -> Optional[float]:
        """None: the object gives power."""
        return None

    def sub_rails(self) -> Dict[str, Optional[float]]:
        """None."""
        return {}

    def close(self) -> None:
        """The object stays the user's."""


def wrap(
    source: Source,
    name: str = "user's meter",
    scope: str = SCOPE,
    min_interval_s: float = 0.1,
    resolution_w: Optional[float] = None,
    accuracy_fraction: Optional[float] = None,
) -> ExternalMeter:
    """A meter from any object with ``read_watts()``. Raises SensorError when it has none."""
    if not callable(getattr(source, "read_watts", None)):
        raise SensorError(
            f"{type(source).__name__} has no read_watts(): expected an object that returns watts as a float"
        )
    if not 0 < min_interval_s <= 60:
        raise SensorError(f"min_interval_s {min_interval_s}: expected seconds above 0, up to 60")
    return ExternalMeter(source, name, scope, min_interval_s, resolution_w, accuracy_fraction)


def search(here: Surroundings) -> Found:
    """The log that the user named."""
    return _named_log(here.environ, stated_scope(here) or SCOPE)


def _named_log(environ: Mapping[str, str], scope: str) -> Found:
    text = environ.get(LOG_VARIABLE, "").strip()
    if not text:
        return Found(places=(Place(f"${LOG_VARIABLE}", False, "no log of an external meter was named"),))
    place = Place(text, Path(text).exists(), f"named by {LOG_VARIABLE}")
    try:
        offset = float(environ.get(OFFSET_VARIABLE, "0") or "0")
        return Found((LogMeter(Path(text), offset_s=offset, scope=scope),), (place,))
    except ValueError:
        return Found(places=(place,), refused=(f"{OFFSET_VARIABLE}: expected seconds as a number",))
    except SensorError as error:
        return Found(places=(place,), refused=(str(error),))
