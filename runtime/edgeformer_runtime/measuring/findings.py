"""What a measurement found, part by part: plain data that a report holds. None is what isn't known; the report's
``reasons`` say why. Times in s or ms, energy in mJ an inference, power in W, temperature in °C, clocks in MHz.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Optional, Tuple


@dataclass(frozen=True)
class Repeat:
    """One of the equal parts of the timed loop. ``energy_mj``: gross, an inference."""

    runs: int
    duration_s: float
    p50_ms: float
    energy_mj: Optional[float] = None


@dataclass(frozen=True)
class Interval:
    """Bounds that hold the true value with 95 % confidence, and how they were found."""

    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Accuracy:
    """The variant's figure on the evaluation rows of the compile, as the bundle's manifest has it; no device's."""

    metric: str
    value: float
    samples: int


@dataclass(frozen=True)
class Idle:
    """The device with the engine loaded and nothing to do."""

    duration_s: float
    watts: Optional[float]
    watts_error: Optional[float]  # standard error of the mean
    temperature_c: Optional[float]
    clock_mhz: Optional[float]
    other_cores: Optional[float]


@dataclass(frozen=True)
class Energy:
    """Energy of one inference, averaged over the whole loop.

    Gross holds all that the device took meanwhile, net what it took more than idle. ``…_uncertainty_…`` is two
    standard uncertainties (about 95 %). ``components_mj`` are the standard uncertainties that net is made of; None
    where the source publishes none, so that the real uncertainty is larger.
    """

    method: str  # "counter": its difference; "sampled watts": trapezoid
    gross_mj: Optional[float] = None
    gross_uncertainty_mj: Optional[float] = None
    net_mj: Optional[float] = None
    net_uncertainty_mj: Optional[float] = None
    mean_w: Optional[float] = None
    mean_uncertainty_w: Optional[float] = None
    idle_w: Optional[float] = None  # mean of before and after
    idle_drift: Optional[float] = None  # (after − before) / before
    samples: int = 0  # in the timed loop
    failed_samples: int = 0
    rate_hz: Optional[float] = None
    components_mj: Mapping[str, Optional[float]] = field(default_factory=dict)
    sub_rails_w: Mapping[str, Optional[float]] = field(default_factory=dict)  # one look, right after the loop


@dataclass(frozen=True)
class Thermal:
    """The processor's temperature: in the idle time before, the highest during the loop, in the idle time after."""

    sensor: str
    before_c: Optional[float]
    max_c: Optional[float]
    after_c: Optional[float]


@dataclass(frozen=True)
class CpuClock:
    """Clock of the fastest core. ``start`` and ``lowest`` are medians over parts of the timed loop."""

    governor_before: Optional[str]
    governor_after: Optional[str]
    idle_mhz: Optional[float]
    start_mhz: Optional[float]
    lowest_mhz: Optional[float]


@dataclass(frozen=True)
class Throttling:
    """``sources``: what could tell (empty: nothing could); ``events`` of this run; ``earlier``: since the start."""

    sources: Tuple[str, ...]
    events: Tuple[str, ...]
    earlier: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Load:
    """What else ran. ``other_cores``: cores that other programs or a hypervisor kept busy during the timed loop."""

    cores: int
    other_cores: Optional[float]
    load_average_before: Optional[float]


@dataclass(frozen=True)
class Sampling:
    """What watching cost: latency with the sampler, against without, in turns. 0.01 is 1 % slower.

    ``overhead_low`` and ``overhead_high``: 95 %, Student's t on the turns.
    """

    interval_s: Optional[float]  # of power; None without a meter
    overhead: Optional[float] = None
    overhead_low: Optional[float] = None
    overhead_high: Optional[float] = None
    turns: int = 0


@dataclass(frozen=True)
class Window:
    """One stretch of a sustained run, from ``start_s`` after its begin."""

    start_s: float
    duration_s: float
    runs: int
    p50_ms: float
    temperature_c: Optional[float] = None
    clock_mhz: Optional[float] = None
    watts: Optional[float] = None
    throttles: Tuple[str, ...] = ()

    @property
    def throughput_per_s(self) -> float:
        """Inferences a second."""
        return self.runs / self.duration_s


@dataclass(frozen=True)
class Sustained:
    """Throughput over minutes of uninterrupted work. First and last minute, or less where the run was shorter."""

    windows: Tuple[Window, ...]
    first_per_s: float
    last_per_s: float
    compared_s: float  # how long "first" and "last" are
    throttle_events: Tuple[str, ...] = ()
    other_cores: Optional[float] = None  # that other programs or a hypervisor kept busy meanwhile

    @property
    def kept(self) -> float:
        """Throughput at the end, as a share of that at the begin."""
        return self.last_per_s / self.first_per_s
