"""How variants are timed during a compile, in real engines."""

import json

import pytest

import edgeformer as ef
from edgeformer.variants import latency as variant_latency


def latencies_of(tiny_model, output, *formats):
    ef.compile(tiny_model, output=output, recipe="int8", formats=formats, sequence_lengths=[16])
    report = json.loads((output / "report.json").read_text())
    return {row["name"]: row["latency"] for row in report["variants"]}, report["metrics"]["uncompressed"]["latency"]


def test_variants_take_turns_with_the_uncompressed_model(tiny_model, tmp_path):
    variants, plain = latencies_of(tiny_model, tmp_path / "bundle", "onnx", "tflite")
    assert plain["faster_by"] == 1.0
    for found in variants.values():
        assert found["runs"] == variant_latency.TURNS * variant_latency.RUNS_A_TURN
        assert found["faster_by"] == pytest.approx(plain["median_ms"] / found["median_ms"], rel=0.5)


def test_runs_of_seconds_are_few(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(variant_latency, "TURN_S", 0.0)  # every run takes longer than a turn
    monkeypatch.setattr(variant_latency, "WARM_UP_S", 0.0)
    variants, _ = latencies_of(tiny_model, tmp_path / "bundle", "onnx")
    assert variants["onnx"]["runs"] == variant_latency.TURNS
    assert variants["onnx"]["median_ms"] > 0
