from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from edgeformer_runtime.device.facts import probe
from edgeformer_runtime.errors import InputError
from edgeformer_runtime.measuring.findings import (
    Accuracy,
    CpuClock,
    Energy,
    Idle,
    Interval,
    Load,
    Repeat,
    Sampling,
    Sustained,
    Thermal,
    Throttling,
    Window,
)
from edgeformer_runtime.measuring.report import Report
from edgeformer_runtime.measuring.report_data import summarize
from edgeformer_runtime.power.base import Place, PowerReading

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies


@pytest.fixture
def report():
    return Report(
        bundle_name="tiny",
        bundle_digest="ab" * 32,
        variant="onnx",
        engine="onnxruntime 1.31.1 (CPUExecutionProvider)",
        threads=2,
        batch_size=1,
        sequence_length=64,
        warmup_runs=10,
        warmup_settled=False,
        duration_s=0.5,
        latencies_ms=(1.0, 2.0, 3.0, 4.0),
        load_ms=12.5,
        first_inference_ms=None,
        peak_rss_bytes=1 << 20,
        peak_rss_growth_bytes=None,
        temperature_c=None,
        power=PowerReading("unavailable", "none", reason="no sensor", looked_at=(Place("/sys", True, "note"),)),
        device=probe(),
        started_at="2026-01-01T00:00:00+00:00",
        runtime_version="0.1.0",
        delegation=("2 nodes on the CPU",),
        skipped=("coreml: not here",),
        reasons={"first_inference_ms": "ran before"},
    )


@pytest.fixture
def full(report):
    """Every part filled in; figures invented."""
    idle = Idle(5.0, 2.01, 0.002, 45.0, 600.0, 0.01)
    return dataclasses.replace(
        report,
        protocol="standard",
        warmup_settled=True,
        latencies_kept_every=10,
        total_runs=40,
        temperature_c=61.5,
        power=PowerReading("measured", "jetson_ina3221", 6.02, "module", "VDD_IN"),
        repeats=(Repeat(20, 0.25, 2.5, 60.1), Repeat(20, 0.25, 2.51, None)),
        p50_interval=Interval(2.4, 2.6, "95 %, Student's t on the medians of 2 repeats"),
        energy=Energy("sampled watts", 60.2, 0.5, 40.12, 0.61, 6.02, 0.05, 2.01, 0.01, 200, 3, 10.0,
                      {"resolution": 0.1, "accuracy": None}, {"VDD_CPU": 3.0, "VDD_GPU": None}),
        idle_before=idle,
        idle_after=idle,
        thermal=Thermal("cpu-thermal", 45.0, 61.5, 50.0),
        clock=CpuClock("ondemand", "performance", 600.0, 1500.0, 1480.0),
        throttling=Throttling(("get_throttled",), (), ("under-voltage",)),
        load=Load(4, 0.03, 0.5),
        sampling=Sampling(0.1, 0.004, -0.001, 0.01, 4),
        sustained=Sustained((Window(0.0, 10.0, 100, 9.0, 50.0, 1500.0, 6.0, ("throttled",)),), 10.0, 9.0, 3.3),
        accuracy=Accuracy("accuracy", 0.968, 500),
        notes=("a note",),
    )  # fmt: skip


@hypothesis.settings(max_examples=200, deadline=None, database=None)
@hypothesis.given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_percentiles_are_numpys(values):
    summary = summarize(tuple(values))
    for name, percent in (("min", 0), ("p50", 50), ("p90", 90), ("p95", 95), ("max", 100)):
        assert getattr(summary, name) == np.percentile(values, percent)
    assert summary.min <= summary.p50 <= summary.p90 <= summary.p95 <= summary.max
    assert summary.p99 is None
    assert (summary.stdev is None) == (len(values) == 1)
    assert summary.mean == pytest.approx(np.mean(values))


def test_p99_needs_a_thousand_runs():
    assert summarize(tuple(range(999))).p99 is None
    assert summarize(tuple(range(1000))).p99 == np.percentile(range(1000), 99)


@pytest.mark.parametrize("wrong", [(), (float("nan"),), (-1.0,), (float("inf"),)])
def test_latencies_that_are_none(wrong, report):
    with pytest.raises(InputError):
        summarize(wrong)
    with pytest.raises(InputError):
        dataclasses.replace(report, latencies_ms=wrong)


def test_json_round_trip_and_field_names(report):
    data = json.loads(report.to_json())
    assert data["latency_ms"]["p50"] == 2.5
    assert data["latency_ms"]["p99"] is None
    assert data["throughput_per_s"] == 8
    assert data["runs"] == 4
    assert data["power"]["watts"] is None
    assert data["power"]["looked_at"][0]["path"] == "/sys"
    assert Report.from_json(report.to_json()) == report


def test_the_table_shows_reasons_instead_of_numbers(report):
    table = report.table()
    assert "ran before" in table
    assert "unavailable (no sensor)" in table
    assert "still moving" in table
    assert "coreml: not here" in table
    assert "2 nodes on the CPU" in table
    assert "2.500 ms" in table


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(report_version=3),
        lambda data: data.update(report_version=True),
        lambda data: data.update(total_runs=3),
        lambda data: data.update(latencies_kept_every=0),
        lambda data: data.update(repeats=[{"runs": 0, "duration_s": 1.0, "p50_ms": 1.0}]),
        lambda data: data.update(energy={"method": "x", "net_mj": "much"}),
        lambda data: data.update(sustained={"windows": [], "first_per_s": 1, "last_per_s": 1, "compared_s": 1}),
        lambda data: data.update(invalid="no"),
        lambda data: data.update(latencies_ms=[1e999]),
        lambda data: data.pop("device"),
        lambda data: data.pop("threads"),
        lambda data: data.update(latencies_ms=["fast"]),
        lambda data: data.update(duration_s=0),
        lambda data: data.update(power={"status": "measured"}),
        lambda data: data["device"].update(colour="red"),
    ],
)
def test_reports_that_are_damaged(report, change):
    data = json.loads(report.to_json())
    change(data)
    with pytest.raises(InputError, match="report"):
        Report.from_json(json.dumps(data))
    for text in ("", "[]", "{", "[" * 100_000):
        with pytest.raises(InputError, match="report"):
            Report.from_json(text)


def test_round_trip_with_every_part(full):
    data = json.loads(full.to_json())
    assert data["report_version"] == 2
    assert (data["valid"], data["runs"]) == (True, 40)
    assert Report.from_json(full.to_json()) == full


def test_numbers_that_json_does_not_have_are_refused(full):
    for name in ("NaN", "Infinity"):
        with pytest.raises(InputError, match="report: not JSON"):
            Report.from_json(full.to_json().replace("61.5", name))


def test_a_report_of_version_1_is_read_and_does_not_count(report):
    data = json.loads(report.to_json())
    new = {"protocol", "repeats", "energy", "invalid", "notes", "sustained", "thermal", "clock", "throttling", "load"}
    new |= {"sampling", "idle_before", "idle_after", "p50_interval", "latencies_kept_every", "total_runs", "valid"}
    old = {**{name: value for name, value in data.items() if name not in new}, "report_version": 1}
    found = Report.from_json(json.dumps(old))
    assert found.latencies_ms == report.latencies_ms
    assert not found.valid
    assert "earlier release" in found.reasons["energy"]
    assert found.reasons["first_inference_ms"] == "ran before"
    assert "INVALID: one loop without repeats" in found.table()


def test_the_table_of_a_whole_report(full):
    table = full.table()
    for text in (
        "2.500 ms  (95 %: 2.400 to 2.600)",
        "standard: 10 runs of warm-up, 40 timed runs in 0.5 s, 2 repeats",
        "6.020 ± 0.050 W  (measured, module, VDD_IN)",
        "40.12 ± 0.61 mJ  an inference, above idle",
        "60.20 ± 0.50 mJ  with idle",
        "45.0 → 61.5 → 50.0 °C",
        "1500 MHz, lowest 1480 MHz, governor ondemand → performance",
        "none seen (get_throttled)",
        "kept 0.03 of 4 cores busy",
        "+0.4 %",
        "accuracy 0.968 on 500 rows",
        "a note",
    ):
        assert text in table
    assert table.endswith("\nVALID")
    assert dataclasses.replace(full, protocol="quick").table().endswith("VALID, as a quick look")
    broken = dataclasses.replace(full, invalid=("it throttled", "it was busy")).table()
    assert broken.endswith("INVALID: it throttled\nINVALID: it was busy")


def test_energy_that_is_not_resolved_shows_why(full):
    energy = dataclasses.replace(full.energy, net_mj=None)
    table = dataclasses.replace(full, energy=energy, reasons={"energy.net_mj": "not resolved: too little"}).table()
    assert "energy, net       - (not resolved: too little)" in table
