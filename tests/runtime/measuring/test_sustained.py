from __future__ import annotations

import pytest

from edgeformer_runtime.errors import InputError
from edgeformer_runtime.measuring.findings import Window
from edgeformer_runtime.measuring.report_text import sustained_lines
from edgeformer_runtime.measuring.sustained import check_seconds, joined, summary


def windows(count, runs=lambda index: 100, each_s=10.0):
    return [Window(index * each_s, each_s, runs(index), 1.0, 50.0 + index, 1500.0, 4.0) for index in range(count)]


def test_first_minute_against_last():
    found = summary(windows(180, lambda index: 100 if index < 90 else 60), ("throttled",))
    assert (found.first_per_s, found.last_per_s, found.compared_s) == (10, 6, 60)
    assert found.kept == pytest.approx(0.6)


def test_a_short_run_compares_thirds():
    found = summary(windows(9, lambda index: 90 - 10 * (index // 3)), ())
    assert (found.first_per_s, found.last_per_s) == (9, 7)
    assert found.compared_s == pytest.approx(30)
    single = summary(windows(1), ())
    assert single.kept == 1


def test_lines_are_few_and_say_minutes():
    lines = sustained_lines(summary(windows(180, lambda index: 100 - index // 4), ("throttled (get_throttled)",)))
    assert "first 1 min 10.0 per s, last 1 min 5.6 per s" in lines[0]
    assert "throttled (get_throttled)" in lines[1]
    assert lines[2].split() == ["min", "per", "s", "p50", "ms", "°C", "MHz", "W"]
    assert len(lines) < 20
    assert lines[3].count("#") > lines[-1].count("#") > 0
    assert sustained_lines(summary(windows(5), ()))[1].split()[0] == "s"


def test_a_row_holds_all_of_its_windows():
    """Ten seconds of trouble in an hour are in some row, whichever windows the rows begin with."""
    calm = windows(360)
    for trouble in range(360):
        hot = Window(10.0 * trouble, 10.0, 10, 9.0, 999.0, 600.0, 4.0, ("throttled",))
        lines = sustained_lines(summary([*calm[:trouble], hot, *calm[trouble + 1 :]], ()))
        (row,) = (line for line in lines if line.endswith(" throttled"))
        assert row.split()[3:5] == ["999.0", "600"]
        assert float(row.split()[1]) < 10


def test_joined_windows():
    found = joined(
        [
            Window(20.0, 10.0, 100, 9.0, None, 1500.0, None),
            Window(30.0, 10.0, 80, 12.0, 61.0, None, 4.0, ("hot",)),
            Window(40.0, 30.0, 300, 10.0, 55.0, 1400.0, 6.0),
        ]
    )
    assert found == Window(20.0, 50.0, 480, 10.0, 61.0, 1400.0, 5.5, ("hot",))
    nothing = joined([Window(0.0, 1.0, 1, 1.0)])
    assert (nothing.watts, nothing.temperature_c, nothing.clock_mhz) == (None, None, None)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
def test_wrong_lengths(wrong):
    with pytest.raises(InputError, match="minutes"):
        check_seconds(wrong)
