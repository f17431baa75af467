from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from edgeformer_runtime.errors import InputError
from edgeformer_runtime.power.base import Place, PowerReading
from edgeformer_runtime.report import Report, summarize
from edgeformer_runtime.system import probe

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
        lambda data: data.update(report_version=2),
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
