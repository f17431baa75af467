"""A PC without VNNI, emulated: the other half of x86, on which ONNX Runtime has other kernels for integers.

The real x86-64 wheels under QEMU's Haswell. Needs what test_emulated_boards needs, and shares its downloads.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import transformers

import edgeformer as ef
from edgeformer_converters.onnx import lower_linear
from edgeformer_devices.emulation import board, prepare
from edgeformer_devices.emulation.apt import check_host
from edgeformer_devices.remote import Options
from edgeformer_devices.remote.emulated import PYTHON, Emulated
from edgeformer_devices.remote.emulated_run import (
    compare,
    facts_of,
    make_feeds,
    outputs_here,
    outputs_there,
    run_emulated,
    runtime_folder,
)
from edgeformer_devices.remote.wheels import make_site
from edgeformer_runtime.engines.onnx_products import smallest_exact_int8
from edgeformer_runtime.errors import EngineError

CACHE = Path(__file__).resolve().parents[2] / "build" / "emulation"
NAME = "generic-x86-laptop"
DIFFERENCE = 1e-4  # of a logit: float32 sums in another order, no integer differs

try:
    check_host()
except EngineError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(scope="module")
def remote():
    return Emulated(f"emulated://{NAME}", prepare(board(NAME), cache=CACHE, progress=print))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny BERT whose weights are large, so that inputs count, and sums of products, too."""
    folder = tmp_path_factory.mktemp("x86") / "model"
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=64, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=64, initializer_range=0.15, id2label={0: "negative", 1: "positive"},
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def compiled(model, output, *settings, formats=("onnx",)):
    recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=0.9")
    for setting in settings:
        recipe = recipe.with_setting(setting)
    return ef.compile(model, output=output, recipe=recipe, sequence_lengths=[32], formats=formats)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("int8", ()),
        ("int4", ("quantize.feed_forward=int4",)),
        ("int4-blocks", ("quantize.feed_forward=int4-block32",)),
        ("int8-asym", ("quantize.feed_forward=int8-asym",)),
    ],
)
def test_a_bundle_gives_the_same_logits_as_here(model, remote, tmp_path, name, settings):
    bundle = compiled(model, tmp_path / name, *settings)
    found = run_emulated(bundle, remote, Options(), CACHE, print, benchmark=False)
    for row in found.variants:
        print(row)
    assert [row.variant for row in found.variants if row.ran] == ["onnx"]
    assert found.variants[0].max_difference <= DIFFERENCE
    assert found.passed


def test_a_jetsons_variant_gives_the_same_logits_on_its_cpu(model, remote, tmp_path):
    """Pairs of QuantizeLinear and DequantizeLinear would become int8 products that saturate, were they fused."""
    bundle = compiled(model, tmp_path / "jetson", formats=("tensorrt",))
    site = make_site(CACHE, ["onnxruntime"], facts_of(remote), remote.address, print)
    request = {"bundle": str(bundle.path), "variants": ["tensorrt"], "threads": 1, "feeds": make_feeds(bundle)}
    there = outputs_there(remote, request, [runtime_folder(CACHE), site.folder])
    row = compare("tensorrt", there["tensorrt"], outputs_here(request)["tensorrt"])
    print(row)
    assert row.engine.startswith("onnxruntime")
    assert row.max_difference <= DIFFERENCE


PROGRAM = """
import json, sys
import onnxruntime
from edgeformer_runtime import Session
from edgeformer_runtime.engines.onnx_products import smallest_exact_int8
from edgeformer_runtime.device.facts import probe
with Session.open(sys.argv[1], threads=1) as session:
    print(json.dumps({"smallest_exact": smallest_exact_int8(onnxruntime), "features": probe().cpu_features,
                      "variant": session.variant.name, "skipped": session.skipped}))
"""


def test_a_variant_that_saturates_there_is_refused_by_name_and_the_next_one_taken(model, remote, tmp_path, monkeypatch):
    """The form that int8 weights had before they were stored as uint8: right here, wrong there."""
    if smallest_exact_int8(onnxruntime) is None:
        pytest.skip("products of int8 are not exact on this CPU")
    monkeypatch.setenv("EDGEFORMER_CACHE", str(tmp_path / "cache"))  # no export of the other form
    monkeypatch.setattr(lower_linear, "_whole_bytes", _as_int8)
    bundle = compiled(model, tmp_path / "bundle", formats=("onnx", "tflite"))
    site = make_site(CACHE, ["onnxruntime", "litert"], facts_of(remote), remote.address, print)
    command = [PYTHON, "-c", PROGRAM, str(bundle.path)]
    done = remote.execute(command, timeout_s=600, paths=[runtime_folder(CACHE), site.folder])
    assert done.status == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["smallest_exact"] is None
    assert "avx2" in found["features"]
    assert found["variant"] == "tflite"
    assert any("onnx" in text and "self-check failed" in text for text in found["skipped"]), found["skipped"]


def _as_int8(emit, weight):
    return emit.initializer("integers", weight.integers.T), emit.constant(np.zeros((), np.int8))
