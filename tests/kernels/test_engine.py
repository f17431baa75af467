"""The runtime's engine takes the kernel where all is covered, and says which one ran."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeformer_runtime.bundle.manifest import VariantEntry, one_graph
from edgeformer_runtime.bundle.needs import typed_settings
from edgeformer_runtime.engines.onnxruntime import ENGINE

sys.path.insert(0, str(Path(__file__).parent))
from local_attention_model import make_model, reference

COVERED = {"head_dims": [16], "dtype": "float32", "kernel_version": 1}


@pytest.fixture
def installed(library, package, monkeypatch):
    monkeypatch.syspath_prepend(str(package))
    yield
    sys.modules.pop("edgeformer_kernels", None)


@pytest.fixture
def load(tmp_path):
    """load(settings) -> the engine's model of a LocalAttention node whose portable body gives zeros."""

    def make(settings):
        onnx.save(make_model(left=2, right=2, scale=0.25, body=True), tmp_path / "model.onnx")
        entry = VariantEntry(
            "v", "onnx", "onnxruntime", one_graph("model.onnx"), 1, **typed_settings("onnxruntime", settings)
        )
        return ENGINE.load(tmp_path / "model.onnx", entry, threads=1)

    return make


def inputs():
    generator = np.random.default_rng(0)
    shape = (1, 2, 40, 16)
    feeds = {name: generator.standard_normal(shape).astype(np.float32) for name in ("query", "key", "value")}
    return feeds | {"keep": np.ones((1, 40), np.float32)}


def test_the_kernel_runs_and_is_named(installed, load):
    model = load({"local_attention": COVERED})
    feeds = inputs()
    expected = reference(*(feeds[n] for n in ("query", "key", "value", "keep")), left=2, right=2, scale=0.25)
    np.testing.assert_allclose(model.run(feeds)["output"], expected, atol=1e-5)
    import edgeformer_kernels

    assert f"{edgeformer_kernels.isa()} kernels)" in model.label
    (note,) = model.delegation
    assert note.startswith(f"local attention: fused kernel, version 1, {edgeformer_kernels.isa()} (edgeformer-kernels ")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kernel_version": 2}, "has version 1 of the kernel, the variant needs 2"),
        ({"head_dims": [16, 512]}, "covers heads of up to 256 numbers, the variant has 512"),
        ({"dtype": "float64"}, "covers float32 and float16, the variant has float64"),
    ],
)
def test_the_body_runs_where_something_is_not_covered(installed, load, change, reason):
    model = load({"local_attention": COVERED | change})
    assert (model.run(inputs())["output"] == 0).all()
    assert "kernels" not in model.label
    (note,) = model.delegation
    assert note.startswith("local attention: portable body: edgeformer-kernels ")
    assert reason in note


def test_a_variant_without_local_attention_registers_nothing(installed, load):
    model = load({})
    assert (model.run(inputs())["output"] == 0).all()
    assert model.delegation == ()
    assert "kernels" not in model.label
