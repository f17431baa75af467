from __future__ import annotations

import pytest

from edgeformer_runtime.errors import InputError
from edgeformer_runtime.measuring.findings import Window
from edgeformer_runtime.measuring.sustained import check_seconds, summary
from edgeformer_runtime.report_text import sustained_lines


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


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
def test_wrong_lengths(wrong):
    with pytest.raises(InputError, match="minutes"):
        check_seconds(wrong)
