from __future__ import annotations

import pytest

from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.power import ina2xx_i2c
from edgeformer_runtime.power.ina2xx_i2c import Wiring, open_meter, parse


class Bus:
    """Registers of one chip as smbus2 gives them, low byte first."""

    def __init__(self, registers, address=0x40):
        self.registers = registers
        self.address = address
        self.closed = False

    def read_word_data(self, i2c_addr, register):
        if i2c_addr != self.address or register not in self.registers:
            raise OSError(121, "Remote I/O error")
        value = self.registers[register] & 0xFFFF
        return (value & 0xFF) << 8 | value >> 8

    def close(self):
        self.closed = True


# 100 mA over 0.1 Ω are 10 mV; 5 V
INA219 = {0x00: 0x399F, 0x01: 1000, 0x02: 1250 << 3 | 0b010}
INA226 = {0x00: 0x4127, 0x01: 4000, 0x02: 4000, 0xFE: 0x5449}
INA260 = {0x00: 0x6127, 0x01: 80, 0x02: 4000, 0xFE: 0x5449}


@pytest.mark.parametrize(
    ("chip", "registers", "shunt", "watts", "step"),
    [
        ("ina219", INA219, 0.1, 0.5, 5e-4),
        ("ina226", INA226, 0.1, 0.5, 1.25e-4),
        ("ina260", INA260, None, 0.5, 6.25e-3),
    ],
)
def test_watts_of_the_registers(chip, registers, shunt, watts, step):
    bus = Bus(registers)
    meter = open_meter(Wiring(chip, 1, 0x40, shunt), open_bus=lambda number: bus)
    assert meter.read_watts() == pytest.approx(watts)
    assert meter.resolution_w == pytest.approx(step)
    assert (meter.status, meter.scope, meter.rail) == ("measured", "one supply rail", f"{chip} 1-0040")
    meter.close()
    meter.close()
    assert bus.closed
    with pytest.raises(SensorError, match="closed"):
        meter.read_watts()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({0x01: -1000}, "other way round"),
        ({0x02: 1250 << 3 | 1}, "overflowed"),
        ({0x02: 0}, "0 V"),
        ({0x01: 0}, "reads 0 W"),
    ],
)
def test_readings_that_are_no_power_are_refused(change, reason):
    bus = Bus(dict(INA219))
    meter = open_meter(Wiring("ina219", 1, 0x40, 0.1), open_bus=lambda number: bus)
    bus.registers.update(change)
    with pytest.raises(SensorError, match=reason):
        meter.read_watts()


@pytest.mark.parametrize(
    ("registers", "chip", "reason"),
    [
        ({**INA219, 0x00: 0x3998}, "ina219", "mode 0"),
        ({**INA226, 0xFE: 0x1234}, "ina226", "isn't an ina226"),
        ({}, "ina219", "Remote I/O error"),
    ],
)
def test_another_chip_or_none_is_refused_and_the_bus_let_go(registers, chip, reason):
    bus = Bus(registers)
    with pytest.raises(SensorError, match=reason):
        open_meter(Wiring(chip, 1, 0x40, 0.1), open_bus=lambda number: bus)
    assert bus.closed


def test_a_chip_with_a_kernel_driver_is_named_as_such():
    class Busy(Bus):
        def read_word_data(self, i2c_addr, register):
            raise OSError(16, "Device or resource busy")

    with pytest.raises(SensorError, match="family ina2xx reads it"):
        open_meter(Wiring("ina219", 1, 0x40, 0.1), open_bus=lambda number: Busy({}))


def test_a_missing_bus_and_a_missing_library_are_said(monkeypatch):
    def no_bus(number):
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(SensorError, match=r"/dev/i2c-7.*is I2C enabled"):
        open_meter(Wiring("ina219", 7, 0x40, 0.1), open_bus=no_bus)

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(ina2xx_i2c, "import_module", missing)
    with pytest.raises(SensorError, match=r"edgeformer-runtime\[i2c\]"):
        open_meter(Wiring("ina219", 1, 0x40, 0.1))


def test_the_variable_is_read_and_a_wrong_one_shows_a_right_one(device):
    assert parse("chip=ina219, bus=1, address=0x40, shunt_ohm=0.1") == Wiring("ina219", 1, 0x40, 0.1)
    assert parse("chip=ina260,bus=0,address=0x45") == Wiring("ina260", 0, 0x45, None)
    for text in (
        "ina219",
        "chip=ina219,bus=1,address=0x40",
        "chip=ina219,bus=1,address=0x40,shunt_ohm=abc",
        "chip=ina219,bus=1,address=0x40,shunt_ohm=0",
        "chip=ina219,bus=1,address=0x40,shunt_ohm=nan",
        "chip=ina219,bus=1,address=0x20,shunt_ohm=0.1",
        "chip=ina260,bus=1,address=0x40,shunt_ohm=0.1",
        "chip=ina999,bus=1,address=0x40,shunt_ohm=0.1",
        "chip=ina219,bus=1,address=0x40,shunt_ohm=0.1,more=1",
    ):
        with pytest.raises(SensorError):
            parse(text)
        device.environ["EDGEFORMER_INA_I2C"] = text
        found = device.find()
        assert found.meters == ()
        assert found.refused[0].startswith("ina2xx_i2c: ")


def test_without_the_variable_no_bus_is_touched(device, monkeypatch):
    def forbidden(number):
        raise AssertionError("a bus was opened")

    monkeypatch.setattr(ina2xx_i2c, "_smbus", forbidden)
    assert device.find().meters == ()


def test_smbus2_itself_has_what_is_used():
    smbus2 = pytest.importorskip("smbus2")
    assert callable(smbus2.SMBus.read_word_data)
    with pytest.raises(SensorError, match="/dev/i2c-250"):
        open_meter(Wiring("ina219", 250, 0x40, 0.1))
