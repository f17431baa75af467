from __future__ import annotations

import pytest

from edgeformer_runtime import power
from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.power import battery


def supply(device, name, **values):
    for key, value in {"type": "Battery", **values}.items():
        device.write(f"sys/class/power_supply/{name}/{key}", value)


def reason(device):
    reading = power.reading(device.find())
    assert (reading.status, reading.watts) == ("unavailable", None)
    return reading.reason


def test_current_times_voltage_where_there_is_no_power(device):
    supply(device, "BAT1", status="Discharging", current_now=1500000, voltage_now=12000000)
    assert power.reading(device.find()).watts == pytest.approx(18.0)


def test_two_batteries_are_added_a_resting_one_adds_nothing_a_charging_one_is_refused(device):
    supply(device, "BAT0", status="Discharging", power_now=5000000)
    supply(device, "BAT1", status="Discharging", power_now=3000000)
    assert power.reading(device.find()).watts == pytest.approx(8.0)
    supply(device, "BAT1", status="Not charging", power_now=0)
    assert power.reading(device.find()).watts == pytest.approx(5.0)
    supply(device, "BAT1", status="Charging", power_now=3000000)
    assert "BAT1 is being charged" in reason(device)


@pytest.mark.parametrize("kind", ["Mains", "USB", "USB_PD"])
def test_discharging_while_plugged_in_is_refused(device, kind):
    supply(device, "BAT0", status="Discharging", power_now=5000000)
    supply(device, "AC", type=kind, online=0)
    assert power.reading(device.find()).watts == 5.0
    supply(device, "AC", type=kind, online=1)
    assert "plugged in" in reason(device)


def test_a_plug_in_the_middle_of_a_run_ends_the_readings(device):
    supply(device, "BAT0", status="Discharging", power_now=5000000)
    (meter,) = device.find().meters
    assert meter.read_watts() == 5.0
    supply(device, "BAT0", status="Charging", power_now=20000000)
    with pytest.raises(SensorError, match="Charging"):
        meter.read_watts()


def test_the_battery_of_a_mouse_is_not_this_device(device):
    supply(device, "BAT0", scope="Device", status="Discharging", power_now=5000000)
    assert device.find().meters == ()


def test_a_negative_gauge_is_refused_until_the_user_states_the_sign(device):
    supply(device, "BAT0", status="Discharging", current_now=-2000000, voltage_now=10000000)
    assert "EDGEFORMER_BATTERY=supply=BAT0" in reason(device)
    device.environ["EDGEFORMER_BATTERY"] = "supply=BAT0,current=uA,voltage=uV,discharging=negative"
    assert power.reading(device.find()).watts == pytest.approx(20.0)


def test_units_are_as_stated_and_never_guessed(device):
    supply(device, "battery", status="Discharging", current_now=-820, voltage_now=4099)
    device.environ["EDGEFORMER_BATTERY"] = "supply=battery,current=mA,voltage=mV,discharging=negative"
    assert power.reading(device.find()).watts == pytest.approx(0.820 * 4.099)
    device.environ["EDGEFORMER_BATTERY"] = "supply=battery,current=mA,voltage=V,discharging=negative"
    assert "4099 V" in reason(device)


@pytest.mark.parametrize(
    "text",
    [
        "battery",
        "supply=battery",
        "supply=battery,current=uA,voltage=uV",
        "supply=battery,current=kA,voltage=uV,discharging=negative",
        "supply=battery,current=uA,voltage=uV,discharging=yes",
        "supply=../../etc,current=uA,voltage=uV,discharging=negative",
        "supply=..,current=uA,voltage=uV,discharging=negative",
    ],
)
def test_a_wrong_statement_shows_a_right_one(device, text):
    with pytest.raises(SensorError, match="EDGEFORMER_BATTERY"):
        battery.stated(text)
    device.environ["EDGEFORMER_BATTERY"] = text
    assert "EDGEFORMER_BATTERY" in reason(device)


def test_a_stated_supply_that_is_missing_is_said(device):
    device.environ["EDGEFORMER_BATTERY"] = "supply=battery,current=uA,voltage=uV,discharging=negative"
    assert "doesn't exist" in reason(device)
