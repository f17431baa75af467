from __future__ import annotations

import pytest

from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.measuring.instruments import instruments_of
from edgeformer_runtime.power.base import Found, Place, Surroundings
from edgeformer_runtime.power.command import no_commands


class Meter:
    status, scope, rail, model = "measured", "module", None, None
    resolution_w = accuracy_fraction = None
    min_interval_s = 0.2

    def __init__(self, family, watts):
        self.family, self.watts = family, watts

    def read_watts(self):
        if self.watts is None:
            raise SensorError("permission denied")
        return self.watts

    def energy_j(self):
        return None

    def close(self):
        pass


@pytest.fixture
def here(tmp_path):
    return Surroundings(tmp_path, {}, no_commands)


def test_the_first_meter_that_answers_is_taken(here):
    silent, answers = Meter("rapl", None), Meter("ina2xx", 3.0)
    found = instruments_of(Found((silent, answers), (Place("/sys", True, "x"),)), here)
    assert found.meter is answers
    assert found.places == (Place("/sys", True, "x"),)
    assert found.samples_anything


def test_a_device_without_a_meter_says_why(here):
    found = instruments_of(Found((Meter("rapl", None),), (), ("battery: it is charging",)), here)
    assert found.meter is None
    assert "rapl: permission denied" in found.no_power.reason
    assert "battery: it is charging" in found.no_power.reason
    assert not found.samples_anything
    assert found.recorder().meter is None
