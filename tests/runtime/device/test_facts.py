from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgeformer_runtime.device import facts as system

PI = """processor\t: 0
Features\t: fp asimd evtstrm crc32 cpuid asimdhp asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

processor\t: 1
Features\t: fp asimd evtstrm crc32 cpuid asimdhp
CPU implementer\t: 0x41
CPU part\t: 0xd0b
"""


def write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_32_bit_kernel_names_no_model_so_the_part_tells(tmp_path):
    rows = "processor\t: 0\nmodel name\t: ARMv7 Processor rev 3 (v7l)\nCPU implementer\t: 0x41\n"
    write(tmp_path, "proc/cpuinfo", rows + "CPU part\t: 0xd08\n")
    assert system.probe(tmp_path).cpu_model == "Cortex-A72"
    write(tmp_path, "proc/cpuinfo", rows)
    assert system.probe(tmp_path).cpu_model == "ARMv7 Processor rev 3 (v7l)"


def test_a_raspberry_pi(tmp_path):
    write(tmp_path, "proc/cpuinfo", PI)
    write(tmp_path, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    write(tmp_path, "proc/meminfo", "MemTotal:        8000 kB\nMemAvailable:    4000 kB\n")
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n")
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1500000\n")
    for cpu, core in ((0, 0), (1, 0), (2, 1)):
        write(tmp_path, f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id", "0")
        write(tmp_path, f"sys/devices/system/cpu/cpu{cpu}/topology/core_id", str(core))
    facts = system.probe(tmp_path)
    assert facts.device_model == "Raspberry Pi 5 Model B Rev 1.0"
    assert facts.cpu_model == "Cortex-A76"
    assert facts.cpu_features == ("asimd", "asimdhp")  # what every core has
    assert (facts.memory_total_bytes, facts.memory_available_bytes) == (8192000, 4096000)
    assert (facts.cpu_governor, facts.cpu_clock_mhz, facts.cpu_max_clock_mhz) == ("ondemand", 1500.0, None)
    assert facts.physical_cores == 2


def test_what_cannot_be_read_is_none(tmp_path):
    facts = system.probe(tmp_path)
    assert facts.device_model is None
    assert facts.cpu_features == ()
    assert facts.cpu_governor is None
    assert facts.cpu_clock_mhz is None


def test_this_machine():
    facts = system.probe()
    assert facts.usable_cores >= 1
    assert facts.logical_cores == os.cpu_count()
    assert facts.memory_total_bytes > 1 << 28
    assert facts.to_dict()["python"] == facts.python
    assert system.peak_rss_bytes() > 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="what exec keeps is Linux's own")
def test_peak_memory_is_not_the_parents():
    """A parent of 300 MB starts a small child: the child's peak must not be the parent's."""
    held = bytearray(300 << 20)
    code = "from edgeformer_runtime.device import facts; print(facts.peak_rss_bytes())"
    child = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    assert len(held) == 300 << 20
    assert int(child.stdout) < 200 << 20
