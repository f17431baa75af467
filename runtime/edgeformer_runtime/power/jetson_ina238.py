"""Jetson Thor: the INA238 at the input (VIN), which carries module and carrier board."""

from __future__ import annotations

from .base import Found, Place, Surroundings
from .boards import jetson_module
from .hwmon import FOLDER, channels, chips, interval_s
from .ina2xx import Monitor
from .jetson import INA3221_SHUNT_STEP_UV, MAX_W
from .rails import Grade, Rail, RailMeter
from .sysfs import shown

FAMILY = "jetson_ina238"
_ACCURACY = 0.007  # total measurement error of power over temperature, data sheet SLYS025; the shunt's is on top


def search(here: Surroundings) -> Found:
    """VIN of a Thor, with the module's rails beside it. An INA238 elsewhere belongs to ``ina2xx``."""
    module = jetson_module(here.root)
    if module is None or module.name != "Jetson Thor":
        return Found()
    monitors = chips(here.root, "ina238")
    if not monitors:
        return Found(places=(Place(f"/{FOLDER}/hwmon*/name (ina238)", False, "no INA238 with a hwmon driver"),))
    places = tuple(Place(shown(folder, here.root), True, "INA238 at the input") for folder, _ in monitors)
    if len(monitors) > 1:
        return Found(places=places, refused=(f"{len(monitors)} INA238, where a Thor has one: which one is VIN?",))
    folder = monitors[0][0]
    parts = [
        channel.rail(INA3221_SHUNT_STEP_UV)
        for chip, _ in chips(here.root, "ina3221")
        for channel in channels(chip)
        if channel.label
    ]
    grade = Grade(None, _ACCURACY, interval_s(folder, 0.01))
    vin = Rail("VIN", Monitor(folder).watts)
    return Found((RailMeter(FAMILY, "module + carrier", [vin], parts, grade, limit_w=MAX_W),), places)
