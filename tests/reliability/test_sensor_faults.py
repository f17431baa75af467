"""Every family of power sensors with something broken: it gives the true watts or a reason, never another number.

Each case builds a healthy device and breaks one file (or answer of a command, or register) before the search, between
search and reading, or between two readings, and then looks at everything that came out.
"""

from __future__ import annotations

import errno
import shutil

import pytest
from sensor_devices import CASES, DEVICES, FAULTS, HWMON, NANO, PMIC, WHEN, World, laptop_rapl, nothing_later, pi5

from edgeformer_runtime import power
from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.power import external, ina2xx_i2c, sysfs


@pytest.fixture
def world(tmp_path, monkeypatch):
    def make(build):
        made = World(tmp_path, build)
        monkeypatch.setattr(sysfs, "read_bytes", made.read_bytes)
        return made

    return make


def find(world):
    found = power.find(world.root, world.environ, world.run)
    assert not any("the search failed" in reason for reason in found.refused), found.refused
    for meter in found.meters:
        for part in (meter, *getattr(meter, "_counters", ()), *getattr(meter, "_parts", ())):
            if hasattr(part, "_clock"):
                part._clock = (lambda: 102.0) if meter.family == "external" else (lambda: world.now)
    return found


def attempt(call):
    """What a call gives, or None when it refuses, which it has to explain."""
    try:
        return call()
    except SensorError as error:
        reason = str(error)
    assert len(reason) > 10, "a refusal without a reason"
    return None


def readings(world, found, fault=lambda: None, between=lambda: None):
    """Every watt that can be got out of the meters: at once, after an interval, and from the counters."""
    fault()
    got = []

    def read(meter):
        watts = attempt(meter.read_watts)
        if watts is not None:
            got.append(watts)
        parts = meter.sub_rails()
        assert all(watts is None or (watts == watts and abs(watts) < 2000) for watts in parts.values()), parts

    for meter in found.meters:
        read(meter)
    between()
    world.now += 1.0
    world.later()
    for meter in found.meters:
        read(meter)
        joules = attempt(meter.energy_j)
        assert joules is None or 0 <= joules < 2000
    return got


def check(got, truth):
    for watts in got:
        assert any(watts == pytest.approx(value, rel=1e-9) for value in truth), f"invented {watts} W, true is {truth}"


@pytest.mark.parametrize("name", [*DEVICES, "pi5"])
def test_the_healthy_device_gives_its_watts(world, name):
    made = world(DEVICES[name][0] if name in DEVICES else pi5)
    found = find(made)
    got = readings(made, found)
    assert got
    check(got, made.truth)
    assert {round(watts, 6) for watts in got} == {round(value, 6) for value in made.truth}


@pytest.mark.parametrize(("name", "file", "fault", "when"), CASES)
def test_a_broken_file_gives_the_true_watts_or_a_reason(world, name, file, fault, when):
    made = world(DEVICES[name][0])
    later = made.later

    def break_it():
        if (made.root / file).parent.is_dir():
            FAULTS[fault](made, made.root / file)

    def later_and_still_broken():
        later()
        break_it()

    made.later = later_and_still_broken
    if when == WHEN[0]:
        break_it()
    found = find(made)
    got = readings(made, found, fault=break_it if when == WHEN[1] else nothing_later)
    check(got, made.truth)
    reading = power.reading(found, lambda seconds: None)
    assert (reading.watts is None) == (reading.reason is not None)


COMMAND_FAULTS = {
    "not installed": None,
    "empty": "",
    "error with status 0": 'error=1 error_msg="Command not registered"',
    "no permission": "VCHI initialization failed",
    "no device file": "Can't open device file: /dev/vcio\nTry creating a device file with: sudo mknod /dev/vcio",
    "binary": bytes(range(256)).decode("latin-1"),
    "cut in the middle": PMIC[: len(PMIC) // 2],
    "cut in a number": PMIC[:-4],
    "no voltages": "\n".join(line for line in PMIC.splitlines() if "volt" not in line),
    "no core": "\n".join(line for line in PMIC.splitlines() if "VDD_CORE" not in line),
    "core twice": PMIC + "\nVDD_CORE_A current(7)=0.25000000A",
    "units swapped": PMIC.replace("A\n", "V\n"),
    "nan": PMIC.replace("0.25000000", "nan"),
    "negative": PMIC.replace("0.25000000", "-0.25000000"),
    "all zero": PMIC.replace("0.25000000", "0.00000000"),
    "absurd current": PMIC.replace("0.25000000", "999.00000000"),
    "comma for the point": PMIC.replace("0.25", "0,25"),
    "a line of something else": PMIC + "\nwarning: under-voltage",
    "flood": PMIC * 1000,
}


@pytest.mark.parametrize("fault", COMMAND_FAULTS)
@pytest.mark.parametrize("when", WHEN[:2])
def test_a_broken_answer_of_a_pi_5_gives_no_watts(world, fault, when):
    made = world(pi5)
    if when == WHEN[0]:
        made.answers["vcgencmd pmic_read_adc"] = COMMAND_FAULTS[fault]
    found = find(made)
    made.answers["vcgencmd pmic_read_adc"] = COMMAND_FAULTS[fault]
    assert readings(made, found) == []
    assert power.reading(found).status == "unavailable"


def swap(world, first, second):
    a, b = (world.root / first).read_bytes(), (world.root / second).read_bytes()
    (world.root / first).write_bytes(b)
    (world.root / second).write_bytes(a)


@pytest.mark.parametrize(
    ("name", "label", "other"),
    [
        ("orin", f"{HWMON}3/in1_label", f"{HWMON}3/in2_label"),
        ("orin", f"{HWMON}3/in1_label", f"{HWMON}3/in3_label"),
        ("nano", f"{NANO}/rail_name_0", f"{NANO}/rail_name_1"),
        ("nano", f"{NANO}/rail_name_0", f"{NANO}/rail_name_2"),
    ],
)
def test_swapped_labels_of_total_and_part_give_no_watts(world, name, label, other):
    made = world(DEVICES[name][0])
    swap(made, label, other)
    assert readings(made, find(made)) == []


@pytest.mark.parametrize(("name", "folder"), [("orin", f"{HWMON}3"), ("agx-orin", f"{HWMON}0"), ("thor", f"{HWMON}1")])
def test_a_second_monitor_with_the_same_labels_gives_no_watts(world, name, folder):
    made = world(DEVICES[name][0])
    shutil.copytree(str(made.root / folder), str(made.root / f"{HWMON}9"))
    assert readings(made, find(made)) == []


@pytest.mark.parametrize("name", ["orin", "agx-orin", "thor", "ina219", "ina226"])
def test_other_hwmon_numbers_change_nothing(world, name):
    made = world(DEVICES[name][0])
    folder = made.root / "sys/class/hwmon"
    for number, monitor in enumerate(sorted(folder.iterdir(), reverse=True)):
        monitor.rename(folder / f"hwmon{20 + number}")
    got = readings(made, find(made))
    assert got
    check(got, made.truth)


@pytest.mark.parametrize("seconds", [-1e9, -3600.0, -1.0, 0.0, 1e-9])
def test_a_clock_that_jumps_or_stands_gives_no_watts_of_a_counter(world, seconds):
    made = world(laptop_rapl)
    found = find(made)
    (meter,) = found.meters
    with pytest.raises(power.NotYetError):
        meter.read_watts()
    made.later()
    made.now += seconds
    with pytest.raises(SensorError):
        meter.read_watts()


@pytest.mark.parametrize("after", [1_000_000_000, 131_000_000_000, 262_142_999_999])
def test_a_counter_that_was_reset_is_refused_as_absurd(world, after):
    # a reset looks like a wrap, and a wrap from here to there would be at least a kilojoule in half a second
    made = world(laptop_rapl)
    (meter,) = find(made).meters
    with pytest.raises(power.NotYetError):
        meter.read_watts()
    made.write("sys/class/powercap/intel-rapl:0/energy_uj", after)
    made.now += 0.5
    with pytest.raises(SensorError, match="above 2000 W"):
        meter.read_watts()


@pytest.mark.parametrize(
    "value", [None, "text", float("nan"), float("inf"), -1.0, 0.0, 1e6, [], {}, OSError(5, "gone")]
)
def test_a_users_meter_that_misbehaves_gives_no_watts(value):
    class Source:
        def read_watts(self):
            if isinstance(value, Exception):
                raise value
            return value

    with pytest.raises(SensorError):
        external.wrap(Source()).read_watts()


REGISTERS = {0x00: 0x399F, 0x01: 1000, 0x02: 1250 << 3 | 0b010}
BUS_FAULTS = {
    "no answer": OSError(errno.EREMOTEIO, "Remote I/O error"),
    "busy": OSError(errno.EBUSY, "busy"),
    "gone": OSError(errno.ENODEV, "gone"),
    "text": "10",
    "none": None,
    "too large": 1 << 16,
    "negative": -1,
    "all ones": 0xFFFF,
    "all zeros": 0,
}


@pytest.mark.parametrize("register", [0x00, 0x01, 0x02])
@pytest.mark.parametrize("fault", BUS_FAULTS)
@pytest.mark.parametrize("when", WHEN[:2])
def test_a_broken_register_gives_the_true_watts_or_a_reason(register, fault, when):
    class Bus:
        broken = when == WHEN[0]

        def read_word_data(self, i2c_addr, asked):
            value = BUS_FAULTS[fault] if self.broken and asked == register else REGISTERS[asked]
            if isinstance(value, Exception):
                raise value
            return (value & 0xFF) << 8 | value >> 8 if value in REGISTERS.values() else value

        def close(self):
            pass

    bus = Bus()
    wiring = ina2xx_i2c.Wiring("ina219", 1, 0x40, 0.1)
    meter = attempt(lambda: ina2xx_i2c.open_meter(wiring, open_bus=lambda number: bus))
    bus.broken = True
    watts = attempt(meter.read_watts) if meter is not None else None
    check([] if watts is None else [watts], [0.5])


def test_every_device_is_broken_in_more_than_two_hundred_ways_together():
    assert len(CASES) >= 200
    assert {device for device, _, _, _ in CASES} == set(DEVICES)
