from __future__ import annotations

import pytest

from edgeformer_runtime import power
from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.power import raspberry_pi4


def stat(device, busy, idle):
    device.write("proc/stat", f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 1")


def meter_at(device):
    now = [0.0]
    stat(device, 100, 1000)
    meter = raspberry_pi4.LoadModelMeter(device.root / "proc/stat", lambda: now[0])
    with pytest.raises(power.NotYetError):
        meter.read_watts()
    now[0] = 1.0
    return meter


@pytest.mark.parametrize(("busy", "idle", "watts"), [(0, 100, 2.286), (100, 0, 6.820), (50, 50, 4.553)])
def test_the_published_model_of_utilisation(device, busy, idle, watts):
    meter = meter_at(device)
    stat(device, 100 + busy, 1000 + idle)
    assert meter.read_watts() == pytest.approx(watts)


def test_it_is_always_an_estimate_with_its_error(device):
    device.board("Raspberry Pi 4 Model B Rev 1.4")
    stat(device, 1, 1)
    (meter,) = device.only("raspberry_pi4")
    assert (meter.status, meter.scope, meter.accuracy_fraction) == ("estimated", "board input", 0.30)
    assert "±25-30 %" in meter.model


@pytest.mark.parametrize("board", ["Raspberry Pi 3 Model B", "Raspberry Pi 400 Rev 1.0", "Raspberry Pi 5 Model B", ""])
def test_other_boards_get_no_such_estimate(device, board):
    device.board(board)
    stat(device, 1, 1)
    assert device.only("raspberry_pi4") == []


def test_counts_that_stand_still_or_go_back_give_no_watts(device):
    meter = meter_at(device)
    with pytest.raises(SensorError, match="of 0 ticks"):
        meter.read_watts()
    meter = meter_at(device)
    stat(device, 50, 1200)
    with pytest.raises(SensorError, match="can't be"):
        meter.read_watts()


@pytest.mark.parametrize("text", ["", "cpu 1 2", "cpu0 1 2 3 4 5 6 7 8", "cpu a b c d e f g h", "cpu -1 2 3 4 5 6 7 8"])
def test_another_stat_is_refused(device, text):
    meter = meter_at(device)
    device.write("proc/stat", text)
    with pytest.raises(SensorError, match="expected the counts"):
        meter.read_watts()
