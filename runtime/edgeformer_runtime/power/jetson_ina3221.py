"""Jetson with the kernel's INA3221 driver (hwmon): Xavier, Orin, with JetPack 5 and later."""

from __future__ import annotations

from .base import Found, Place, Surroundings
from .hwmon import FOLDER, channels, chips, interval_s, root_sum_square
from .jetson import INA3221_ACCURACY, INA3221_SHUNT_STEP_UV, MAX_W, choose
from .rails import Grade, RailMeter
from .sysfs import shown

FAMILY = "jetson_ina3221"


def search(here: Surroundings) -> Found:
    """The module's total, with the other rails beside it; refused on boards whose rails aren't known."""
    monitors = chips(here.root, "ina3221")
    if not monitors:
        return Found(places=(Place(f"/{FOLDER}/hwmon*/name (ina3221)", False, "no INA3221 with a hwmon driver"),))
    found = [channel for folder, _ in monitors for channel in channels(folder)]
    names = ", ".join(channel.label or f"channel {channel.number} without a label" for channel in found)
    places = tuple(Place(shown(folder, here.root), True, f"INA3221; rails of all: {names}") for folder, _ in monitors)
    total, rest, why = choose(here.root, [(channel.label, channel) for channel in found])
    if why is not None:
        return Found(places=places, refused=(why,))
    steps = [channel.step_watts(INA3221_SHUNT_STEP_UV) for channel in total]
    slowest = max(interval_s(channel.folder, 0.01) for channel in total)
    grade = Grade(root_sum_square(steps), INA3221_ACCURACY, slowest)
    rails = [channel.rail(INA3221_SHUNT_STEP_UV) for channel in total]
    parts = [channel.rail(INA3221_SHUNT_STEP_UV) for channel in rest]
    return Found((RailMeter(FAMILY, "module", rails, parts, grade, limit_w=MAX_W),), places)
