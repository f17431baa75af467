"""A variant whose weights stay floats beside one of integers: float16 for GPU delegates."""

import json

import pytest

import edgeformer as ef
from edgeformer.passes.allocate import Allocate
from edgeformer.passes.quantize import Quantize
from edgeformer.variants.export import plan_variants
from edgeformer_devices import load
from edgeformer_runtime import Session

NAME = "tflite-fp16"
pytest.importorskip("ai_edge_litert")


def test_it_is_made_where_it_is_asked_for_and_stands_for_the_model_before_quantization(tiny_model, reviews, tmp_path):
    bundle = ef.compile(
        tiny_model, output=tmp_path / "out", recipe="int8", formats=["tflite", NAME], sequence_lengths=[16],
        evaluation=reviews["evaluation"], platform="android",
    )  # fmt: skip
    integers, half = bundle.manifest.variants
    assert (half.name, half.format, half.engine) == (NAME, "tflite", "litert")
    assert set(half.weight_formats) == {"float16"}
    assert half.verification.similarity_p01 > 0.99999 > integers.verification.similarity_p01
    assert half.verification.agreement == 1.0  # with the uncompressed model
    golden = json.loads((bundle.path / "golden.json").read_text())["variants"]
    assert golden[NAME]["similarity_min"] == 1 - 5e-3  # a GPU computes in 16 bits what the CPU here does in 32
    with Session.open(bundle.path, variant=NAME, threads=1) as session:
        assert session.predict(["a good film"])


def test_devices_and_defaults_do_not_ask_for_it():
    for targets in ((), (load("pixel-8"),), (load("raspberry-pi-5"),)):
        assert NAME not in [plan.name for plan in plan_variants(ef.ExportSettings(), targets)]


def test_steps_in_floats_keep_what_they_do_beside_choosing_integers():
    assert set(Quantize(layers={"x": "int4"}).in_floats().layers) == set()
    chosen = Allocate(max_bytes=1, prune=(0.25,)).in_floats()
    assert chosen.prune == (0.25,)
    assert chosen.quantize_step({"layer": "int4"}).layers == {}
    assert ef.PruneStructured(heads=0.5).in_floats() == ef.PruneStructured(heads=0.5)
