"""What a benchmark measures with: the best meter of this device, its monitor, its clock."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from .. import power
from ..device.facts import usable_cores
from ..errors import SensorError
from ..power.base import Meter, Place, PowerReading
from .monitor import Monitor
from .sampler import RealTime, Recorder, Time


@dataclass(frozen=True)
class Instruments:
    """``no_power`` is the reading of a device without a meter, with the reason and all places looked at."""

    meter: Optional[Meter]
    monitor: Monitor
    time: Time
    no_power: PowerReading
    places: Tuple[Place, ...] = ()
    cores: int = 1

    @property
    def samples_anything(self) -> bool:
        """Whether the sampler has any work."""
        monitor = self.monitor
        return bool(
            self.meter is not None
            or monitor.thermometer is not None
            or monitor.throttles.names
            or monitor.clock_mhz() is not None
        )

    def recorder(self) -> Recorder:
        """A recorder for one measurement."""
        return Recorder.of(self.meter, self.monitor.snapshot, self.time.now)


def instruments_of(found: power.Found, surroundings: Optional[power.Surroundings] = None) -> Instruments:
    """The first meter of ``found`` that answers, and this device's monitor. Never raises."""
    here = surroundings or default_surroundings()
    silent: List[str] = []
    for meter in found.meters:
        try:
            power.read_once(meter)
        except SensorError as error:
            silent.append(f"{meter.family}: {error}")
            continue
        chosen: Optional[Meter] = meter
        break
    else:
        chosen = None
    from ..power.none import unavailable

    return Instruments(
        chosen,
        Monitor(here),
        RealTime(),
        unavailable(found, silent),
        found.places,
        os.cpu_count() or usable_cores(),
    )


def default_surroundings() -> power.Surroundings:
    """This machine."""
    from ..power.command import run_command

    return power.Surroundings(Path("/"), os.environ, run_command)
