"""Trees of files as devices have them, from captured outputs or made up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeformer_runtime import power
from edgeformer_runtime.errors import SensorError

FIXTURES = Path(__file__).parent / "fixtures"


class Device:
    """A file system in a temporary folder, and the commands that answer on it."""

    def __init__(self, root):
        self.root = root
        self.environ = {}
        self.answers = {}

    def write(self, path, text):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")
        return file

    def board(self, model, compatible=""):
        self.write("proc/device-tree/model", model + "\0")
        self.write("proc/device-tree/compatible", compatible.replace(" ", "\0") + "\0")

    def hwmon(self, number, name, **files):
        for file, value in {"name": name, **files}.items():
            self.write(f"sys/class/hwmon/hwmon{number}/{file}", value)

    def ina3221(self, number, rails, start=1, shunt=5000):
        """Rails by name in mW, at one volt."""
        for channel, (label, milliwatts) in enumerate(rails.items(), start=start):
            self.hwmon(
                number,
                "ina3221",
                **{
                    f"in{channel}_label": label,
                    f"in{channel}_input": 1000,
                    f"curr{channel}_input": milliwatts,
                    f"shunt{channel}_resistor": shunt,
                },
            )
        self.hwmon(number, "ina3221", in7_label="sum of shunt voltages", in7_input=99999)

    def iio(self, rails, address="6-0040"):
        """Rails by name in mW, three a monitor, as L4T R32 has them."""
        for index, (label, milliwatts) in enumerate(rails.items()):
            folder = f"sys/bus/i2c/drivers/ina3221x/{address}/iio:device{index // 3}"
            self.write(f"{folder}/rail_name_{index % 3}", label)
            self.write(f"{folder}/in_power{index % 3}_input", milliwatts)

    def supply(self, name, uevent):
        """A power supply from the lines of its uevent."""
        for key, value in re.findall(r"^POWER_SUPPLY_(\w+)=(.*)$", uevent, re.MULTILINE):
            self.write(f"sys/class/power_supply/{name}/{key.lower()}", value)

    def run(self, argv):
        command = " ".join(argv)
        if command not in self.answers:
            raise SensorError(f"{argv[0]} isn't installed")
        return self.answers[command]

    def find(self):
        return power.find(self.root, self.environ, self.run)

    def only(self, family):
        """The meters of one family."""
        return [meter for meter in self.find().meters if meter.family == family]


def blocks(file):
    """{name of a block: its lines} of a captured file; lines above the first block are in ""."""
    found, name = {"": []}, ""
    for line in (FIXTURES / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            name = line[3:]
            found[name] = []
        else:
            found[name].append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


@pytest.fixture
def device(tmp_path):
    return Device(tmp_path)


@pytest.fixture
def captured():
    """captured(file, start) -> the text of the one block whose title starts with ``start``."""

    def get(file, start):
        titles = [title for title in blocks(file) if title.startswith(start)]
        assert len(titles) == 1, (file, start, titles)
        return blocks(file)[titles[0]]

    return get
