from __future__ import annotations

import sys
import time

import pytest

from edgeformer_runtime.measuring.instruments import default_surroundings
from edgeformer_runtime.measuring.monitor import CpuSeconds, Monitor, Snapshot, other_cores
from edgeformer_runtime.power.base import Surroundings
from edgeformer_runtime.power.command import no_commands


@pytest.fixture
def board(tmp_path):
    """Two clusters of cores, made up."""
    for number, khz in ((0, "600000"), (4, "1800000")):
        folder = tmp_path / f"sys/devices/system/cpu/cpufreq/policy{number}"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(khz + "\n")
        (folder / "scaling_governor").write_text("ondemand\n" if number else "schedutil\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/loadavg").write_text("0.52 0.40 0.31 1/200 999\n")
    (tmp_path / "proc/stat").write_text("cpu  100 10 30 5000 7 2 3 40 0 0\ncpu0 1 2 3 4\n")
    return Monitor(Surroundings(tmp_path, {}, no_commands))


def test_synthetic_board(board):
    assert board.snapshot() == Snapshot(None, 1800.0, frozenset())
    assert board.governor() == "ondemand, schedutil"
    assert board.load_average() == 0.52
    seconds = board.cpu_seconds()
    assert (seconds.busy_s, seconds.stolen_s) == (pytest.approx(1.45), pytest.approx(0.4))  # idle, iowait don't count
    assert "no thermometer" in board.no_temperature


def test_a_machine_that_says_nothing(tmp_path):
    monitor = Monitor(Surroundings(tmp_path, {}, no_commands))
    assert monitor.snapshot() == Snapshot(None, None, frozenset())
    assert (monitor.governor(), monitor.load_average(), monitor.cpu_seconds()) == (None, None, None)


def test_other_cores():
    before = CpuSeconds(10.0, 100.0, 50.0, 1.0)
    assert other_cores(before, CpuSeconds(20.0, 118.0, 60.0, 3.0)) == pytest.approx(1.0)
    assert other_cores(before, CpuSeconds(20.0, 109.9, 60.0, 1.0)) == 0.0  # rounding of the counts
    assert other_cores(before, CpuSeconds(10.9, 118.0, 60.0, 3.0)) is None
    assert other_cores(None, before) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_this_machine_counts_what_this_program_does():
    monitor = Monitor(default_surroundings())
    before = monitor.cpu_seconds()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    after = monitor.cpu_seconds()
    own = after.own_s - before.own_s
    assert 0.2 <= own <= 0.5
    assert after.busy_s - before.busy_s >= own - 0.05
