"""Raspberry Pi 5: the power chip's twelve rails, through ``vcgencmd pmic_read_adc``.

USB, HATs and NVMe hang on the 5 V input, whose current the chip doesn't measure: the sum of the rails is less than the
board takes. A published fit to a meter at the input gives an estimate of that.
"""

from __future__ import annotations

import re
from typing import Dict, Optional

from ..errors import SensorError
from .base import Found, Place, Run, Surroundings
from .boards import board_model, is_raspberry_pi
from .sysfs import positive_watts

FAMILY = "raspberry_pi5"
COMMAND = ("vcgencmd", "pmic_read_adc")
MODEL = (
    "1.1451 × rails + 0.5879 W, a fit to one board and its USB-C meter (github.com/jfikar/RPi5-power), "
    "its error isn't published"
)
_MAX_W = 60.0  # twice what the board's supply gives
_LINE = re.compile(r"(\w+)_([AV])\s+(current|volt)\(\d+\)=(\d{1,3}\.\d{1,10})([AV])\Z", re.ASCII)
# Early firmware calls 0V8_SW 0V8_SYS. Without one of these the sum would be silently lower.
_RAILS = (
    ("3V7_WL_SW",),
    ("3V3_SYS",),
    ("1V8_SYS",),
    ("DDR_VDD2",),
    ("DDR_VDDQ",),
    ("1V1_SYS",),
    ("0V8_SW", "0V8_SYS"),
    ("VDD_CORE",),
    ("3V3_DAC",),
    ("3V3_ADC",),
    ("0V8_AON",),
    ("HDMI",),
)
_VOLTAGE_ONLY = ("EXT5V", "BATT")
# The core's current moves in steps of 17.86 mA in every captured output, at 0.9 V.
_RESOLUTION_W = 0.016
# Each read starts a process, which takes some milliseconds of one core.
_INTERVAL_S = 0.2


def parse(text: str) -> Dict[str, float]:
    """Watts by rail from the command's output. Raises SensorError unless every rail has its current and voltage."""
    message = re.search(r"error=\d+\s*(?:error_msg=)?(.*)", text)
    if message is not None:  # vcgencmd ends with status 0 all the same
        raise SensorError(f"vcgencmd pmic_read_adc: {message.group(0).strip()[:120]}")
    if "VCHI" in text or "/dev/vc" in text:
        raise SensorError(
            f"vcgencmd pmic_read_adc: {text.strip()[:120]}: this user may not ask the firmware; add it to the group "
            "video (sudo usermod -aG video $USER) and log in again; in a container pass --device /dev/vcio"
        )
    values: Dict[str, Dict[str, float]] = {"A": {}, "V": {}}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        found = _LINE.match(line)
        if (
            found is None
            or found.group(2) != found.group(5)
            or (found.group(2) == "A") != (found.group(3) == "current")
        ):
            raise SensorError(f"vcgencmd pmic_read_adc: line {line[:60]!r} isn't understood")
        name, unit, value = found.group(1), found.group(2), float(found.group(4))
        if name in values[unit]:
            raise SensorError(f"vcgencmd pmic_read_adc: {name}_{unit} comes twice")
        values[unit][name] = value
    return _watts(values["A"], values["V"])


def _watts(amperes: Dict[str, float], volts: Dict[str, float]) -> Dict[str, float]:
    unpaired = sorted((amperes.keys() ^ volts.keys()) - set(_VOLTAGE_ONLY))
    if unpaired:
        raise SensorError(f"vcgencmd pmic_read_adc: {', '.join(unpaired)} without its current or its voltage")
    missing = [names[0] for names in _RAILS if not any(name in amperes for name in names)]
    if missing:
        raise SensorError(f"vcgencmd pmic_read_adc: rails {', '.join(missing)} are missing, so there is no sum")
    for name in amperes:
        if amperes[name] > 50 or volts[name] > 30:
            raise SensorError(f"vcgencmd pmic_read_adc: {name} with {amperes[name]} A at {volts[name]} V can't be")
    return {name: amperes[name] * volts[name] for name in amperes}


class PmicMeter:
    """The sum of the rails, or with ``fitted`` the estimate of the input."""

    accuracy_fraction: Optional[float] = None
    min_interval_s = _INTERVAL_S
    family = FAMILY

    def __init__(self, run: Run, fitted: bool = False) -> None:
        self._run = run
        self._fitted = fitted
        self.status = "estimated" if fitted else "measured"
        self.scope = "board input" if fitted else "rails"
        self.rail: Optional[str] = "sum of the power chip's rails; USB, HAT and NVMe aren't in it"
        if fitted:
            self.rail = None
        self.model: Optional[str] = MODEL if fitted else None
        self.resolution_w: Optional[float] = _RESOLUTION_W * (1.1451 if fitted else 1.0)

    def read_watts(self) -> float:
        """W now. Raises SensorError."""
        rails = sum(parse(self._run(COMMAND)).values())
        watts = positive_watts(rails, f"{FAMILY} sum of rails", _MAX_W)
        return 1.1451 * watts + 0.5879 if self._fitted else watts

    def energy_j(self) -> Optional[float]:
        """None: the chip gives currents and voltages."""
        return None

    def sub_rails(self) -> Dict[str, Optional[float]]:
        """Watts of each rail; nothing where the command fails, and nothing beside the estimate."""
        if self._fitted:
            return {}
        try:
            return dict(parse(self._run(COMMAND)))
        except SensorError:
            return {}

    def close(self) -> None:
        """Nothing is held open."""


def search(here: Surroundings) -> Found:
    """The rails measured and the input estimated, where the firmware has this command."""
    if not is_raspberry_pi(here.root):
        return Found(places=(Place(" ".join(COMMAND), False, "this isn't a Raspberry Pi"),))
    try:
        parse(here.run(COMMAND))
    except SensorError as error:
        exists = "Pi 5" in (board_model(here.root) or "")
        return Found(places=(Place(" ".join(COMMAND), exists, "no usable answer"),), refused=(str(error),))
    place = Place(" ".join(COMMAND), True, "the power chip's rails")
    return Found((PmicMeter(here.run), PmicMeter(here.run, fitted=True)), (place,))
