"""Devices made of files, one a family of power sensors, and the ways in which a file of theirs can break."""

from __future__ import annotations

import errno
import os
import shutil

from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.power import sysfs

PMIC = "\n".join(
    f"{name}_{unit} {kind}({index})={value:.8f}{unit}"
    for kind, unit, value in (("current", "A", 0.25), ("volt", "V", 1.0))
    for index, name in enumerate(
        [
            "3V7_WL_SW",
            "3V3_SYS",
            "1V8_SYS",
            "DDR_VDD2",
            "DDR_VDDQ",
            "1V1_SYS",
            "0V8_SW",
            "VDD_CORE",
            "3V3_DAC",
            "3V3_ADC",
            "0V8_AON",
            "HDMI",
        ]
    )
)
ORIN = ("NVIDIA Jetson Orin Nano Developer Kit", "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234")
HWMON = "sys/class/hwmon/hwmon"


class World:
    """A healthy device of one kind: files, a clock, answers of commands, and what it draws."""

    def __init__(self, root, build):
        self.root, self.now, self.environ, self.answers = root, 0.0, {}, {}
        self.denied = {}
        self.truth, self.later = build(self)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        clear(file)  # a pipe that a fault has left would block whoever writes to it
        file.write_text(f"{text}\n", encoding="utf-8")

    def many(self, folder, **files):
        for name, value in files.items():
            self.write(f"{folder}/{name}", value)

    def board(self, model, compatible=""):
        self.many("proc/device-tree", model=model, compatible=compatible)

    def run(self, argv):
        answer = self.answers.get(" ".join(argv))
        if isinstance(answer, str):
            return answer
        raise SensorError("not installed")

    def read_bytes(self, path, limit=sysfs.MAX_BYTES):
        number = self.denied.get(path)
        if number is not None:
            raise OSError(number, os.strerror(number))
        return READ_BYTES(path, limit)


READ_BYTES = sysfs.read_bytes


def clear(file):
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(str(file))
    elif file.exists() or file.is_symlink():
        file.unlink()


def nothing_later():
    pass


def channel(number, label, volts_mv, milliamperes):
    return {
        f"in{number}_label": label,
        f"in{number}_input": volts_mv,
        f"curr{number}_input": milliamperes,
        f"shunt{number}_resistor": 5000,
    }


def nano(world):
    world.board("NVIDIA Jetson Nano Developer Kit", "nvidia,p3449-0000-b00+p3448-0000-b00\0nvidia,tegra210")
    folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    world.many(folder, rail_name_0="POM_5V_IN", rail_name_1="POM_5V_GPU", rail_name_2="POM_5V_CPU")
    world.many(folder, in_power0_input=2059, in_power1_input=300, in_power2_input=600)
    return [2.059], nothing_later


def orin(world):
    world.board(*ORIN)
    world.write(f"{HWMON}3/name", "ina3221")
    world.many(f"{HWMON}3", **channel(1, "VDD_IN", 5040, 944), **channel(2, "VDD_CPU_GPU_CV", 5040, 200))
    world.many(f"{HWMON}3", **channel(3, "VDD_SOC", 5040, 300), in7_label="sum of shunt voltages", in7_input=999)
    return [5.040 * 0.944], nothing_later


def agx_orin(world):
    world.board("NVIDIA Jetson AGX Orin Developer Kit", "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234")
    world.write(f"{HWMON}0/name", "ina3221")
    world.many(f"{HWMON}0", **channel(1, "VDD_GPU_SOC", 19000, 260), **channel(2, "VDD_CPU_CV", 19000, 52))
    world.many(f"{HWMON}0", **channel(3, "VIN_SYS_5V0", 5000, 888))
    return [19 * 0.260 + 19 * 0.052 + 5 * 0.888], nothing_later


def thor(world):
    world.board("NVIDIA Jetson AGX Thor Developer Kit", "nvidia,p3971-0000+p3834-0008\0nvidia,tegra264")
    world.many(f"{HWMON}1", name="ina238", in1_input=24000, curr1_input=1000, power1_input=24000000)
    world.many(f"{HWMON}2", name="ina3221", **channel(1, "VDD_GPU", 12000, 500))
    return [24.0], nothing_later


def ina219(world):
    world.many(f"{HWMON}4", name="ina219", in1_input=5000, curr1_input=400, power1_input=2000000, shunt_resistor=100000)
    return [2.0], nothing_later


def ina226(world):
    world.many(f"{HWMON}4", name="ina226", in1_input=12000, curr1_input=500, shunt_resistor=2000)
    return [6.0], nothing_later


def laptop_rapl(world):
    def at(energy, core):
        zone = {"name": "package-0", "max_energy_range_uj": 262143328850, "energy_uj": energy}
        world.many("sys/class/powercap/intel-rapl:0", **zone)
        world.many("sys/class/powercap/intel-rapl:0:0", **{**zone, "name": "core", "energy_uj": core})

    at(262143000000, 1000)
    return [20.0], lambda: at(262143000000 + 20000000 - 262143328850, 9001000)  # 20 J later, across the wrap


def laptop_battery(world):
    battery = {"type": "Battery", "status": "Discharging", "power_now": 19195000, "voltage_now": 11206000}
    world.many("sys/class/power_supply/BAT0", **battery)
    world.many("sys/class/power_supply/AC", type="Mains", online=0)
    return [19.195], nothing_later


def phone_battery(world):
    world.many("sys/class/power_supply/battery", status="Discharging", current_now=-820000, voltage_now=4099000)
    world.environ["EDGEFORMER_BATTERY"] = "supply=battery,current=uA,voltage=uV,discharging=negative"
    return [0.82 * 4.099], nothing_later


def pixel(world):
    def at(milliseconds, energy):
        for device, rail in ((0, "VSYS_PWR_MODEM"), (1, "S2S_VDD_G3D")):
            text = f"t={milliseconds}\nCH0(T={milliseconds})[{rail}], {energy}"
            world.write(f"sys/bus/iio/devices/iio:device{device}/energy_value", text)

    at(1000, 500000)
    return [3.0], lambda: at(2000, 2000000)  # twice 1.5 J in 1 s


def pi4(world):
    world.board("Raspberry Pi 4 Model B Rev 1.4")
    world.write("proc/stat", "cpu 100 0 0 1000 0 0 0 0 0 0\ncpu0 1 2")
    return [2.286 + 4.534 / 2], lambda: world.write("proc/stat", "cpu 150 0 0 1050 0 0 0 0 0 0\ncpu0 1 2")


def pi5(world):
    world.board("Raspberry Pi 5 Model B Rev 1.0")
    world.answers["vcgencmd pmic_read_adc"] = PMIC
    return [3.0, 1.1451 * 3.0 + 0.5879], nothing_later


def log(world):
    # of a plain name, outside of the places where the other families look
    world.write("meter.csv", "unix_s,watts\n100,5.5\n101,5.5\n102,5.5")
    world.environ["EDGEFORMER_POWER_LOG"] = str(world.root / "meter.csv")
    return [5.5], nothing_later


# device -> (builder, the files that are broken one at a time)
NANO = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
DEVICES = {
    "nano": (
        nano,
        ("proc/device-tree/compatible", f"{NANO}/rail_name_0", f"{NANO}/in_power0_input", f"{NANO}/in_power1_input"),
    ),
    "orin": (
        orin,
        tuple(
            f"{HWMON}3/{file}"
            for file in ("name", "in1_label", "in1_input", "curr1_input", "curr2_input", "shunt1_resistor")
        ),
    ),
    "agx-orin": (
        agx_orin,
        tuple(f"{HWMON}0/{file}" for file in ("in2_label", "in1_input", "curr3_input", "in2_input")),
    ),
    "thor": (thor, (f"{HWMON}1/name", f"{HWMON}1/power1_input", f"{HWMON}1/curr1_input", f"{HWMON}2/in1_input")),
    "ina219": (ina219, tuple(f"{HWMON}4/{file}" for file in ("name", "power1_input", "curr1_input", "shunt_resistor"))),
    "ina226": (ina226, tuple(f"{HWMON}4/{file}" for file in ("in1_input", "curr1_input"))),
    "rapl": (
        laptop_rapl,
        tuple(f"sys/class/powercap/intel-rapl:0{file}" for file in ("/name", "/energy_uj", ":0/energy_uj")),
    ),
    "battery": (
        laptop_battery,
        tuple(f"sys/class/power_supply/{file}" for file in ("BAT0/status", "BAT0/power_now", "BAT0/type", "AC/online")),
    ),
    "phone": (
        phone_battery,
        tuple(f"sys/class/power_supply/battery/{file}" for file in ("status", "current_now", "voltage_now")),
    ),
    "pixel": (pixel, tuple(f"sys/bus/iio/devices/iio:device{number}/energy_value" for number in (0, 1))),
    "pi4": (pi4, ("proc/stat", "proc/device-tree/model")),
    "log": (log, ("meter.csv",)),
}


def denying(number):
    def fault(world, file):
        world.denied[file] = number

    return fault


def holding(content):
    def fault(world, file):
        clear(file)
        file.write_bytes(content)

    return fault


def vanish(world, file):
    clear(file)


def vanish_with_its_folder(world, file):
    shutil.rmtree(str(file.parent))


def turn_into_a_folder(world, file):
    clear(file)
    file.mkdir()


def turn_into_a_pipe(world, file):
    clear(file)
    os.mkfifo(str(file))


def turn_into_a_loop(world, file):
    clear(file)
    file.symlink_to(file)


FAULTS = {
    "eagain": denying(errno.EAGAIN),
    "eacces": denying(errno.EACCES),
    "enodev": denying(errno.ENODEV),
    "eio": denying(errno.EIO),
    "vanish": vanish,
    "vanish-folder": vanish_with_its_folder,
    "folder": turn_into_a_folder,
    "pipe": turn_into_a_pipe,
    "loop": turn_into_a_loop,
    "garbage": holding(b"!READ-ERROR\n"),
    "empty": holding(b""),
    "nan": holding(b"nan\n"),
    "inf": holding(b"inf\n"),
    "minus-256": holding(b"-256000\n"),
    "absurd": holding(b"99999999999999999\n"),
    "binary": holding(bytes(range(256))),
    "huge": holding(b"1" * 1_000_000),
    "two-numbers": holding(b"5040 944\n"),
}
WHEN = ("before the search", "after the search", "between two readings")
CASES = [
    (device, file, fault, when)
    for device, (_, files) in DEVICES.items()
    for file in files
    for fault in FAULTS
    for when in WHEN
    # a log isn't read through the kernel's reader, so its errors are those of a real file
    if not (device == "log" and FAULTS[fault].__qualname__.startswith("denying"))
    # -256 mA is a current like any other where the user has said that discharging is negative
    and not (file.endswith("battery/current_now") and fault == "minus-256")
    # a phone that never had the second monitor is another phone
    and not (device == "pixel" and fault.startswith("vanish") and when == WHEN[0])
]
