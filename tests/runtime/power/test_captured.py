"""Every block of the captured outputs, laid out as a device, gives what its ``expect`` says.

A case's name holds the block's label: real, format (the layout is real, values aren't) or synthetic.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from edgeformer_runtime import power
from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.power import android_odpm, rapl, raspberry_pi5

FIXTURES = Path(__file__).parent / "fixtures"
BOARDS = {
    "tx1": ("jetson_tx1", "nvidia,p2371-2180"),
    "tx2": ("quill", "nvidia,p2597-0000+p3310-1000 nvidia,quill nvidia,tegra186"),
    "nano": ("NVIDIA Jetson Nano Developer Kit", "nvidia,p3449-0000-b00+p3448-0000-b00 nvidia,tegra210"),
    "xavier_nx": ("NVIDIA Jetson Xavier NX Developer Kit", "nvidia,p3509-0000+p3668-0001 nvidia,tegra194"),
    "agx_xavier": ("Jetson-AGX", "nvidia,p2972-0000 nvidia,tegra194"),
    "orin_nano": ("NVIDIA Jetson Orin Nano Developer Kit", "nvidia,p3768-0000+p3767-0005 nvidia,tegra234"),
    "agx_orin": ("NVIDIA Jetson AGX Orin Developer Kit", "nvidia,p3737-0000+p3701-0005 nvidia,tegra234"),
    "thor": ("NVIDIA Jetson AGX Thor Developer Kit", "nvidia,p3971-0000+p3834-0008 nvidia,tegra264"),
}


def tegrastats_rails(line):
    """{rail: mW now}; memory has its unit behind both numbers, rails have none or mW."""
    return {name: int(now) for name, now in re.findall(r"(?<!\S)([A-Z]\w*) (\d+)(?:mW)?/\d+(?:mW)?(?!\S)", line)}


def files(text):
    """(path, value) of lines "path => value"."""
    for line in text.splitlines():
        if " => " in line:
            path, value = line.split(" => ")
            yield path.strip(), value.split("#")[0].strip()


def watts_of(found):
    assert found.meters, found.refused
    meter = found.meters[0]
    return meter, power.read_once(meter, lambda seconds: None)


# --- tegrastats: the same rails as the sysfs files, so they are laid out as those


@pytest.mark.parametrize(
    ("title", "board", "layout", "watts", "rail"),
    [
        ("tx1", "tx1", "iio", 2.532, "VDD_IN"),
        ("tx2", "tx2", "iio", 3.056, "VDD_IN"),
        ("nano |", "nano", "iio", 1.022, "POM_5V_IN"),
        ("nano_wifi_temp_token", "nano", "iio", 2.132, "POM_5V_IN"),
        ("agx_xavier", "agx_xavier", "iio", 3.346, "GPU+CPU+SOC+CV+VDDRQ+SYS5V"),
        ("agx_xavier", "agx_xavier", "hwmon", 3.346, "GPU+CPU+SOC+CV+VDDRQ+SYS5V"),
        ("xavier_nx |", "xavier_nx", "hwmon", 4.067, "VDD_IN"),
        ("orin_nx", "orin_nano", "hwmon", 5.299, "VDD_IN"),
        ("orin_nano_idle_dvfs", "orin_nano", "hwmon", 4.761, "VDD_IN"),
        ("orin_nano_idle_jetson_clocks", "orin_nano", "hwmon", 6.626, "VDD_IN"),
        ("agx_orin |", "agx_orin", "hwmon", 10.370, "VDD_GPU_SOC+VDD_CPU_CV+VIN_SYS_5V0"),
        ("agx_orin_r36_irregular_spaces", "agx_orin", "hwmon", 12.377, "VDD_GPU_SOC+VDD_CPU_CV+VIN_SYS_5V0"),
        ("offline_sensor_and_nc_rail", "agx_orin", "hwmon", 17.388, "VDD_GPU_SOC+VDD_CPU_CV+VIN_SYS_5V0"),
    ],
)
def test_jetson_totals_of_real_tegrastats(device, captured, title, board, layout, watts, rail):
    rails = tegrastats_rails(captured("jetson_tegrastats.txt", title))
    device.board(*BOARDS[board])
    names = list(rails)
    for start in range(0, len(names), 3):  # three channels a monitor, at hwmon numbers that say nothing
        three = {name: rails[name] for name in names[start : start + 3]}
        device.ina3221(7 - start, three) if layout == "hwmon" else device.iio(three, f"{start}-0040")
    meter, value = watts_of(device.find())
    assert value == pytest.approx(watts, abs=1e-9)
    assert (meter.status, meter.scope, meter.rail) == ("measured", "module", rail)
    parts = {name: milliwatts / 1e3 for name, milliwatts in rails.items() if name != "NC" and name != rail}
    assert meter.sub_rails() == pytest.approx(parts)


def test_real_mislabelled_rails_of_a_nano_are_flagged_not_reported(device, captured):
    device.board(*BOARDS["nano"])
    device.iio(tegrastats_rails(captured("jetson_tegrastats.txt", "nano_mislabelled_rails")))
    found = device.find()
    with pytest.raises(SensorError, match=r"POM_5V_GPU reads 8\.949 W, more than POM_5V_IN with 3\.227 W"):
        found.meters[0].read_watts()
    assert power.reading(found).status == "unavailable"


def test_real_xavier_nx_without_rails_is_unavailable(device, captured):
    assert tegrastats_rails(captured("jetson_tegrastats.txt", "xavier_nx_no_rails")) == {}
    device.board(*BOARDS["xavier_nx"])
    reading = power.reading(device.find())
    assert (reading.status, reading.watts) == ("unavailable", None)


def test_real_thor_total_is_vin_and_not_the_sum_of_rails(device, captured):
    rails = tegrastats_rails(captured("jetson_tegrastats.txt", "thor"))
    vin = rails.pop("VIN")
    device.board(*BOARDS["thor"])
    device.ina3221(3, rails)
    device.hwmon(4, "ina238", in1_input=vin / 1.2, curr1_input=1200, power1_input=vin * 1000)
    found = device.find()
    meter, value = watts_of(found)
    assert (value, meter.scope, meter.rail) == (26.686, "module + carrier", "VIN")
    assert sum(meter.sub_rails().values()) == pytest.approx(19.091)
    assert len(found.meters) == 1
    assert any("the total is VIN" in reason for reason in found.refused)


# --- sysfs


def test_nano_format_with_synthetic_values(device, captured):
    device.board(*BOARDS["nano"])
    for path, value in files(captured("jetson_sysfs.txt", "nano_l4t_r32")):
        device.write(path, value)
    meter, value = watts_of(device.find())
    assert (value, meter.rail) == (2.059, "POM_5V_IN")
    assert meter.sub_rails() == {"POM_5V_GPU": None, "POM_5V_CPU": None}  # their power isn't in the capture: not 0


def test_real_rails_of_a_tx2_without_power_give_a_reason(device, captured):
    device.board(*BOARDS["tx2"])
    for line in captured("jetson_sysfs.txt", "tx2").splitlines():
        address, rails = line.split(" => ")
        for index, rail in enumerate(rails.split(" | ")):
            name, millivolts = rail.split()
            folder = f"sys/bus/i2c/drivers/ina3221x/{address}/iio:device{int(address[-1]) % 4}"
            device.write(f"{folder}/rail_name_{index}", name)
            device.write(f"{folder}/in_voltage{index}_input", millivolts)
    (meter,) = device.find().meters
    assert meter.rail == "VDD_IN"
    with pytest.raises(SensorError, match="in_power0_input: doesn't exist"):
        meter.read_watts()
    assert len(meter.sub_rails()) == 11
    assert set(meter.sub_rails().values()) == {None}


def test_real_orin_labels_with_synthetic_values(device, captured):
    device.board(*BOARDS["orin_nano"])
    for path, value in files(captured("jetson_sysfs.txt", "orin_nx_nano_p3767")):
        device.write(path.replace("hwmonN", "sys/class/hwmon/hwmon5"), value)
    device.hwmon(5, "ina3221", shunt1_resistor=5000, update_interval=12)
    meter, value = watts_of(device.find())
    assert value == pytest.approx(4.75776)
    assert set(meter.sub_rails()) == {"VDD_CPU_GPU_CV", "VDD_SOC"}  # in7 is no rail
    assert meter.resolution_w == pytest.approx(40e-6 / 5e-3 * 5.04)
    assert meter.min_interval_s == pytest.approx(0.012)


def test_real_agx_orin_labels_skip_what_is_disabled_or_inside_another_rail(device, captured):
    first, second = captured("jetson_sysfs.txt", "agx_orin_p3701").splitlines()
    names = [[name.split("(")[0].strip() for name in line.split("=>")[1].split("|")] for line in (first, second)]
    device.board(*BOARDS["agx_orin"])
    device.ina3221(1, {name: 1000 * (number + 1) for number, name in enumerate(names[0])}, shunt=2000)
    device.ina3221(2, {"VDDQ_VDD2_1V8AO": 700}, start=2)
    for channel in (1, 3):
        device.hwmon(2, "ina3221", **{f"in{channel}_label": names[1][channel - 1], f"in{channel}_enable": 0})
    meter, value = watts_of(device.find())
    assert value == pytest.approx(6.0)
    assert "VDDQ_VDD2_1V8AO" in meter.sub_rails()
    assert "NC" not in meter.sub_rails()


def test_real_agx_orin_dump_without_labels_claims_no_total(device, captured):
    for path, value in files(captured("jetson_sysfs.txt", "agx_orin dump")):
        if "hwmon2" in path and "READ-ERROR" not in value:
            device.write(path.replace("/sys/bus/i2c/drivers/ina3221/1-0041", "sys/class"), value)
    device.hwmon(2, "ina3221")
    device.board(*BOARDS["agx_orin"])
    found = device.find()
    assert found.meters == ()
    assert any("VDD_GPU_SOC is missing" in reason for reason in found.refused)


def test_real_thor_rails_alone_claim_no_total(device, captured):
    device.board(*BOARDS["thor"])
    rails = re.findall(r"^(\w+) => (\d+) mV (\d+) mA", captured("jetson_sysfs.txt", "thor"), re.MULTILINE)
    for channel, (label, millivolts, milliamperes) in enumerate(rails, start=1):
        values = {"label": label, "input": millivolts}
        device.hwmon(0, "ina3221", **{f"in{channel}_{key}": value for key, value in values.items()})
        device.hwmon(0, "ina3221", **{f"curr{channel}_input": milliamperes})
    found = device.find()
    assert len(rails) == 3
    assert found.meters == ()
    assert any("no INA238" in place.note for place in found.places)


# --- supply monitors


def test_real_ina219_with_reversed_current_is_refused(device, captured):
    for path, value in files(captured("hwmon_ina2xx.txt", "ina219")):
        device.write(path, value)
    device.write("sys/class/hwmon/hwmon2/name", "ina219")
    (meter,) = device.find().meters
    assert meter.resolution_w == pytest.approx(0.002)  # 20 × 10 µV over 0.1 Ω
    with pytest.raises(SensorError, match="-40 mA"):
        meter.read_watts()


def test_synthetic_ina3221_on_an_unknown_board_claims_no_total(device, captured):
    for path, value in files(captured("hwmon_ina2xx.txt", "ina3221")):
        device.write(f"sys/class/hwmon/hwmon0/{path}", value)
    device.write("sys/class/hwmon/hwmon0/name", "ina3221")
    found = device.find()
    assert found.meters == ()
    assert any("isn't a Jetson known here" in reason for reason in found.refused)


def test_synthetic_ina226_is_volts_times_amperes_where_the_driver_gives_no_power(device, captured):
    for path, value in files(captured("hwmon_ina2xx.txt", "ina226")):
        device.write(f"sys/class/hwmon/{path.replace('ina226', 'hwmon1').replace('hwmon_energy', 'hwmon2')}", value)
    device.write("sys/class/hwmon/hwmon1/name", "ina226")
    meter, value = watts_of(device.find())
    assert (value, meter.scope) == (60.0, "one supply rail")


def test_synthetic_disabled_channel_is_no_rail(device, captured):
    for path, value in files(captured("hwmon_ina2xx.txt", "disabled channel")):
        device.write(f"sys/class/hwmon/{path.replace('hwmon_disabled_channel', 'hwmon0')}", value)
    device.ina3221(0, {"VDD_IN": 5000, "VDD_CPU_GPU_CV": 1000, "VDD_SOC": 0})
    device.board(*BOARDS["orin_nano"])
    assert set(device.find().meters[0].sub_rails()) == {"VDD_CPU_GPU_CV"}


# --- Raspberry Pi


@pytest.mark.parametrize(("file", "watts"), [("rpi5_pmic_idle.txt", 2.948), ("rpi5_pmic_fullload.txt", 10.80)])
def test_real_raspberry_pi_5_sums_twelve_rails_and_estimates_the_input(device, captured, file, watts):
    device.board("Raspberry Pi 5 Model B Rev 1.0")
    device.answers["vcgencmd pmic_read_adc"] = re.sub(r"^#.*\n?", "", captured(file, ""), flags=re.MULTILINE)
    measured, estimated = device.find().meters
    assert measured.read_watts() == pytest.approx(watts, abs=0.005)
    assert (measured.status, measured.scope, measured.model) == ("measured", "rails", None)
    assert len(measured.sub_rails()) == 12
    assert estimated.read_watts() == pytest.approx(1.1451 * measured.read_watts() + 0.5879)
    assert (estimated.status, estimated.scope) == ("estimated", "board input")
    assert "fit" in estimated.model


def test_real_truncated_early_firmware_is_unavailable(device, captured):
    text = re.sub(r"^#.*\n?", "", captured("rpi5_pmic_early_firmware.txt", ""), flags=re.MULTILINE)
    with pytest.raises(SensorError, match="without its current or its voltage"):
        raspberry_pi5.parse(text)
    device.board("Raspberry Pi 5 Model B Rev 1.0")
    device.answers["vcgencmd pmic_read_adc"] = text
    reading = power.reading(device.find())
    assert (reading.status, reading.watts) == ("unavailable", None)


def test_real_early_firmware_names_a_rail_otherwise(captured):
    text = re.sub(r"^#.*\n?", "", captured("rpi5_pmic_idle.txt", ""), flags=re.MULTILINE)
    assert sum(raspberry_pi5.parse(text.replace("0V8_SW", "0V8_SYS")).values()) == pytest.approx(2.948, abs=0.005)


def test_real_vcgencmd_error_with_exit_status_0_is_an_error(device, captured):
    answers = dict(files(captured("rpi_vcgencmd_misc.txt", "")))
    device.board("Raspberry Pi 4 Model B Rev 1.4")
    device.answers["vcgencmd pmic_read_adc"] = answers["pmic_read_adc"]
    found = device.find()
    assert [(meter.family, meter.status) for meter in found.meters] == [("raspberry_pi4", "estimated")]
    assert any("Command not registered" in reason for reason in found.refused)


# --- x86


def domain(name, energy, span=262143328850):
    return {"name": name, "energy_uj": energy, "max_energy_range_uj": span}


def zone(device, folder, values):
    for file, value in values.items():
        device.write(f"sys/class/powercap/{folder}/{file}", value)


def advance(device, folder, step_uj):
    file = device.root / f"sys/class/powercap/{folder}/energy_uj"
    file.write_text(str(int(file.read_text()) + step_uj))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def rapl_search(device, clock=None):
    return rapl.search(power.Surroundings(device.root, {}, device.run), clock or Clock())


def test_kepler_testdata_counts_mmio_once_and_core_not_at_all(device, captured):
    for path, value in files(captured("rapl_powercap.txt", "kepler_testdata")):
        device.write(path, value)
    clock = Clock()
    found = rapl_search(device, clock)
    (meter,) = found.meters
    assert (meter.scope, meter.rail) == ("cpu package", "package-0")
    with pytest.raises(power.NotYetError):
        meter.read_watts()
    advance(device, "intel-rapl:0", 30_000_000)
    advance(device, "intel-rapl:0:0", 9_000_000)
    advance(device, "intel-rapl-mmio:0", 30_000_000)
    clock.now = 2.0
    assert meter.read_watts() == pytest.approx(15.0)
    assert meter.energy_j() == pytest.approx(30.0)
    assert meter.sub_rails() == pytest.approx({"core": 4.5})
    assert any("not counted twice" in place.note for place in found.places)


def test_codecarbon_values_take_psys_before_the_package(device, captured):
    values = dict(files(captured("rapl_powercap.txt", "codecarbon_tests")))
    zone(device, "intel-rapl:0", domain("package-0", values["package energy_uj"], values["max_energy_range_uj"]))
    zone(device, "intel-rapl:1", domain("psys", values["psys energy_uj"], values["max_energy_range_uj"]))
    assert [(meter.scope, meter.rail) for meter in rapl_search(device).meters] == [
        ("platform", "psys"),
        ("cpu package", "package-0"),
    ]


def test_real_haswell_dram_is_beside_the_package_and_shown(device, captured):
    values = dict(files(captured("rapl_powercap.txt", "haswell_dram")))
    zone(device, "intel-rapl:0", domain("package-0", 1, values["dram max_energy_range_uj"]))
    zone(device, "intel-rapl:0:1", domain("dram", values["dram energy_uj"], values["dram max_energy_range_uj"]))
    (meter,) = rapl_search(device).meters
    assert (meter.rail, set(meter.sub_rails())) == ("package-0", {"dram"})


def test_real_permission_text_is_what_a_refusal_says(device, captured, monkeypatch):
    assert "-r--------" in captured("rapl_powercap.txt", "permission")
    zone(device, "intel-rapl:0", domain("package-0", 1))
    read = power.sysfs.read_bytes

    def denied(path, limit=power.sysfs.MAX_BYTES):
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read(path, limit)

    monkeypatch.setattr(power.sysfs, "read_bytes", denied)
    reading = power.reading(device.find())
    assert reading.status == "unavailable"
    assert "permission denied" in reading.reason
    assert "sudo chmod" in reading.reason


def test_synthetic_wrap_adds_the_range_once(device, captured):
    captured(
        "rapl_powercap.txt", "wrap | SYNTHETIC: before 262143000000 after 1000000 range 262143328850 -> delta 1328850"
    )
    zone(device, "intel-rapl:0", domain("package-0", 262143000000))
    (meter,) = rapl_search(device).meters
    assert meter.energy_j() == 0.0
    zone(device, "intel-rapl:0", domain("package-0", 1000000))
    assert meter.energy_j() == pytest.approx(1.328850)


# --- batteries


def test_real_laptop_discharging(device, captured):
    device.supply("BAT0", captured("laptop_bat0.txt", "discharging  "))
    meter, value = watts_of(device.find())
    assert (value, meter.status, meter.scope) == (19.195, "measured", "battery")


@pytest.mark.parametrize(
    ("title", "reason"), [("not_charging", "Not charging"), ("discharging_zero_power", "reads 0 W while discharging")]
)
def test_real_laptop_without_a_discharge_is_unavailable_and_not_0_watts(device, captured, title, reason):
    device.supply("BAT0", captured("laptop_bat0.txt", title))
    reading = power.reading(device.find())
    assert (reading.status, reading.watts) == ("unavailable", None)
    assert reason in reading.reason


@pytest.mark.parametrize("title", ["xiaomi_bms_uevent", "pixel3a", "moto"])
def test_real_android_batteries_are_unavailable_until_the_user_states_sign_and_unit(device, captured, title):
    device.supply("battery", captured("android_battery.txt", title))
    reading = power.reading(device.find())
    assert (reading.status, reading.watts) == ("unavailable", None)
    assert "EDGEFORMER_BATTERY=" in reading.reason


def test_real_android_battery_with_a_stated_sign_still_needs_a_discharge(device, captured):
    device.supply("bms", captured("android_battery.txt", "xiaomi_bms_uevent"))
    device.environ["EDGEFORMER_BATTERY"] = "supply=bms,current=uA,voltage=uV,discharging=positive"
    assert power.reading(device.find()).watts is None  # no status in its uevent
    device.write("sys/class/power_supply/bms/status", "Discharging")
    reading = power.reading(device.find())
    assert reading.watts is None  # captured while charging: the current's sign contradicts the status
    assert "sign says charging" in reading.reason
    device.environ["EDGEFORMER_BATTERY"] = "supply=bms,current=uA,voltage=uV,discharging=negative"
    assert power.reading(device.find()).watts == pytest.approx(1.202147 * 4.137440)


def test_real_android_sysfs_denied_is_unavailable(device, captured, monkeypatch):
    assert "Permission denied" in captured("android_battery.txt", "sysfs denied")
    device.supply("battery", "POWER_SUPPLY_STATUS=Discharging\nPOWER_SUPPLY_CURRENT_NOW=1")
    device.environ["EDGEFORMER_BATTERY"] = "supply=battery,current=uA,voltage=uV,discharging=positive"

    def denied(path, limit=power.sysfs.MAX_BYTES):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(power.sysfs, "read_bytes", denied)
    reading = power.reading(device.find())
    assert "permission denied" in reading.reason


def test_real_termux_replies_are_no_source(captured):
    # the same reply has µA and mA, and another phone the other sign: no family reads them
    assert '"current":-820000,"current_average":-576' in captured("android_battery.txt", "termux_battery_status")
    assert '"current":361816' in captured("android_battery.txt", "termux sign")
    assert not [name for name in power.FAMILIES if "termux" in name]


# --- Android's monitor


def odpm_files(device, text, later=False):
    paths = []
    for index, part in enumerate(text):
        if later:  # 1 s later, every rail with 100 mJ more
            part = re.sub(
                r"T=(\d+)\)(\[\w+\]), (\d+)",
                lambda match: f"T={int(match[1]) + 1000}){match[2]}, {int(match[3]) + 100_000}",
                part,
            )
        paths.append(device.write(f"sys/bus/iio/devices/iio:device{index}/energy_value", part))
    return paths


def test_real_pixel_6_rails_with_synthetic_progress(device, captured):
    text = [captured("android_odpm_pixel6.txt", f"/sys/bus/iio/devices/iio:device{index}") for index in (0, 1)]
    odpm_files(device, text)
    (meter,) = device.find().meters
    assert (meter.family, meter.scope) == ("android_odpm", "rails")
    with pytest.raises(power.NotYetError):
        meter.read_watts()
    with pytest.raises(power.NotYetError):
        meter.read_watts()  # the monitor's own clock stood still
    assert meter.energy_j() == 0.0
    odpm_files(device, text, later=True)
    # sixteen rails; L2S_VDD_AOC_RET hangs on another rail and is not added
    assert meter.read_watts() == pytest.approx(15 * 0.1)
    assert meter.energy_j() == pytest.approx(15 * 0.1)
    assert len(meter.sub_rails()) == 16
    assert meter.sub_rails()["S10M_VDD_TPU"] == pytest.approx(0.1)


def test_real_list_of_enabled_rails_names_the_same_rails(captured):
    enabled = re.findall(r"\[(\w+)\]:", captured("android_odpm_pixel6.txt", "enabled_rails"))
    text = captured("android_odpm_pixel6.txt", "/sys/bus/iio/devices/iio:device0")
    assert set(enabled) <= set(android_odpm.parse(text, "capture"))


def test_every_captured_block_is_used_here():
    source = Path(__file__).read_text(encoding="utf-8")
    constants = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    starts = [text for text in constants if isinstance(text, str) and len(text) > 2]
    unused = []
    for file in sorted(FIXTURES.glob("*.txt")):
        assert file.name in source, file.name
        for title in re.findall(r"^## (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE):
            if not title.startswith(("/sys/bus/iio", *starts)):
                unused.append(f"{file.name}: {title}")
    assert unused == ["jetson_sysfs.txt: nvpmodel -q | REAL formats"]  # the power mode is not a sensor of watts
