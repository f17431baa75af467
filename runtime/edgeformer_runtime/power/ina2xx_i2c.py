"""INA219, INA226, INA260 on the I2C bus without a kernel driver, through smbus2 (the extra ``i2c``).

Address and shunt are the user's to say, as the environment variable or as arguments of ``open_meter``:
``EDGEFORMER_INA_I2C=chip=ina219,bus=1,address=0x40,shunt_ohm=0.1``. Nothing is ever written to the chip.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Callable, Dict, Mapping, Optional, Protocol

from ..errors import SensorError
from .base import Found, Place, Surroundings
from .ina2xx import ACCURACY, UNKNOWN_SCOPE, stated_scope
from .sysfs import positive_watts

FAMILY = "ina2xx_i2c"
VARIABLE = "EDGEFORMER_INA_I2C"
_EXAMPLE = "chip=ina219,bus=1,address=0x40,shunt_ohm=0.1"
_CONFIGURATION, _SHUNT, _BUS, _MAKER = 0x00, 0x01, 0x02, 0xFE


class Bus(Protocol):
    """The part of ``smbus2.SMBus`` that is used."""

    def read_word_data(self, i2c_addr: int, register: int) -> int:
        """Two bytes, the first one low, as SMBus has it."""

    def close(self) -> None:
        """Let the bus go."""


@dataclass(frozen=True)
class Chip:
    """Registers of one type. ``step`` of register 1: V, or A where the shunt is inside; ``volt_step`` of the bus."""

    step: float
    volt_step: float
    volt_shift: int
    shunt_inside: bool
    maker: Optional[int]


# Data sheets SBOS448 (INA219), SBOS547 (INA226), SBOS656 (INA260)
CHIPS: Dict[str, Chip] = {
    "ina219": Chip(10e-6, 4e-3, 3, False, None),
    "ina226": Chip(2.5e-6, 1.25e-3, 0, False, 0x5449),
    "ina260": Chip(1.25e-3, 1.25e-3, 0, True, 0x5449),
}


@dataclass(frozen=True)
class Wiring:
    """Which chip, where, with which shunt in Ω (None for the INA260, which has its own)."""

    chip: str
    bus: int
    address: int
    shunt_ohm: Optional[float]

    def __post_init__(self) -> None:
        if self.chip not in CHIPS:
            raise SensorError(f"{FAMILY}: chip {self.chip!r}: expected one of {', '.join(CHIPS)}")
        if not 0 <= self.bus < 256 or not 0x40 <= self.address <= 0x4F:
            raise SensorError(f"{FAMILY}: bus {self.bus}, address {self.address:#x}: these chips sit at 0x40 to 0x4f")
        inside = CHIPS[self.chip].shunt_inside
        if inside != (self.shunt_ohm is None) or (self.shunt_ohm is not None and not 1e-5 <= self.shunt_ohm <= 10):
            wanted = "none, it has its own" if inside else "the board's, in ohm, as printed on it (R100 is 0.1)"
            raise SensorError(f"{FAMILY}: shunt_ohm {self.shunt_ohm} of an {self.chip}: expected {wanted}")


def parse(text: str) -> Wiring:
    """The value of EDGEFORMER_INA_I2C. Raises SensorError that shows a right one."""
    pairs = [part.partition("=") for part in text.split(",")]
    found = {key.strip(): value.strip() for key, _, value in pairs}
    if not {"chip", "bus", "address"} <= set(found) <= {"chip", "bus", "address", "shunt_ohm"}:
        raise SensorError(f"{VARIABLE}={text!r}: expected as in {_EXAMPLE}")
    try:
        shunt = float(found["shunt_ohm"]) if "shunt_ohm" in found else None
        return Wiring(found["chip"], int(found["bus"], 0), int(found["address"], 0), shunt)
    except ValueError:
        raise SensorError(f"{VARIABLE}={text!r}: expected numbers as in {_EXAMPLE}") from None


class I2cMeter:
    """One chip on a bus."""

    family = FAMILY
    status = "measured"
    model: Optional[str] = None
    min_interval_s = 0.01

    def __init__(self, wiring: Wiring, bus: Bus, scope: str = UNKNOWN_SCOPE) -> None:
        self._wiring = wiring
        self._chip = CHIPS[wiring.chip]
        self._bus: Optional[Bus] = bus
        self.scope = scope
        self.rail: Optional[str] = f"{wiring.chip} {wiring.bus}-{wiring.address:04x}"
        self.accuracy_fraction = ACCURACY.get(wiring.chip)
        self.resolution_w: Optional[float] = None
        self._check()

    def read_watts(self) -> float:
        """W now. Raises SensorError."""
        amperes, volts = self._amperes(), self._volts()
        if amperes < 0:
            raise SensorError(f"{self._where()}: {amperes:g} A: the shunt is wired the other way round")
        return positive_watts(amperes * volts, self._where())

    def energy_j(self) -> Optional[float]:
        """None: these chips have no counter."""
        return None

    def sub_rails(self) -> Mapping[str, Optional[float]]:
        """None: one rail."""
        return {}

    def close(self) -> None:
        """Let the bus go."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.close()

    def _check(self) -> None:
        mode = self._word(_CONFIGURATION) & 0b111
        if mode != 0b111:
            raise SensorError(
                f"{self._where()}: mode {mode} of its configuration isn't continuous measuring (7), with which it "
                "starts: is another program driving it?"
            )
        if self._chip.maker is not None and self._word(_MAKER) != self._chip.maker:
            raise SensorError(f"{self._where()}: the chip there isn't an {self._wiring.chip}")
        self.resolution_w = self._chip.step / (self._wiring.shunt_ohm or 1.0) * self._volts()

    def _amperes(self) -> float:
        raw = self._word(_SHUNT)
        signed = raw - 0x10000 if raw & 0x8000 else raw
        return signed * self._chip.step / (self._wiring.shunt_ohm or 1.0)

    def _volts(self) -> float:
        raw = self._word(_BUS)
        if self._wiring.chip == "ina219" and raw & 1:
            raise SensorError(f"{self._where()}: the chip says that its result overflowed")
        volts = (raw >> self._chip.volt_shift) * self._chip.volt_step
        if not 0 < volts <= 40:
            raise SensorError(f"{self._where()}: {volts:g} V can't be a supply")
        return volts

    def _word(self, register: int) -> int:
        if self._bus is None:
            raise SensorError(f"{self._where()}: closed")
        try:
            low_first = self._bus.read_word_data(self._wiring.address, register)
        except OSError as error:
            hint = ": a kernel driver has this chip; the family ina2xx reads it" if error.errno == 16 else ""
            raise SensorError(f"{self._where()}: {error.strerror or error}{hint}") from error
        if not isinstance(low_first, int) or not 0 <= low_first <= 0xFFFF:
            raise SensorError(f"{self._where()}: register {register:#x} gave {low_first!r}")
        return (low_first & 0xFF) << 8 | low_first >> 8  # the chip sends the high byte first

    def _where(self) -> str:
        return f"{FAMILY} {self.rail}"


def open_meter(wiring: Wiring, scope: str = UNKNOWN_SCOPE, open_bus: Optional[Callable[[int], Bus]] = None) -> I2cMeter:
    """The chip, checked. Raises SensorError: no smbus2, no bus, no such chip there."""
    try:
        bus = (open_bus or _smbus)(wiring.bus)
    except OSError as error:
        raise SensorError(
            f"/dev/i2c-{wiring.bus}: {error.strerror or error}: is I2C enabled, and are you in the group i2c?"
        ) from error
    try:
        return I2cMeter(wiring, bus, scope)
    except SensorError:
        bus.close()
        raise


def search(here: Surroundings) -> Found:
    """The chip that the user named; no address is ever tried."""
    text = here.environ.get(VARIABLE, "").strip()
    if not text:
        return Found(places=(Place(f"${VARIABLE}", False, "no chip on an I2C bus was named"),))
    try:
        meter = open_meter(parse(text), stated_scope(here) or UNKNOWN_SCOPE)
    except SensorError as error:
        return Found(places=(Place(f"${VARIABLE}", True, text[:80]),), refused=(str(error),))
    return Found((meter,), (Place(f"${VARIABLE}", True, text[:80]),))


def _smbus(number: int) -> Bus:
    try:
        smbus2: Any = import_module("smbus2")
    except ImportError:
        raise SensorError(f"{FAMILY}: smbus2 isn't installed: pip install 'edgeformer-runtime[i2c]'") from None
    bus: Bus = smbus2.SMBus(number)
    return bus
