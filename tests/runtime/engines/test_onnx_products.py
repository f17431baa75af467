from __future__ import annotations

import types

import numpy as np
import pytest

from edgeformer_runtime.device.facts import probe
from edgeformer_runtime.engines import onnx_products
from edgeformer_runtime.engines.onnx_products import smallest_exact_int8

onnxruntime = pytest.importorskip("onnxruntime")


def test_the_file_is_a_product_of_the_largest_values():
    onnx = pytest.importorskip("onnx")  # a workstation's: no device has it
    proto = onnx.load_from_string(onnx_products._model())
    onnx.checker.check_model(proto, full_check=True)
    assert [node.op_type for node in proto.graph.node] == ["MatMulInteger"]
    weight = onnx.numpy_helper.to_array(proto.graph.initializer[0])
    assert weight.dtype == np.int8
    assert (weight == onnx_products._WEIGHTS).all()
    assert set(onnx_products._WEIGHTS.tolist()) == {127, -127, -128}


def test_the_answer_is_that_of_this_cpus_instructions():
    """x86 without VNNI saturates, Arm without the dot product overflows for -128 alone."""
    facts = probe()
    features = set(facts.cpu_features)
    if (facts.machine or "").lower() in ("x86_64", "amd64"):
        expected = -128 if {"avx_vnni", "avx512_vnni", "amx_int8"} & features else None
    else:
        expected = -128 if "asimddp" in features else -127
    assert smallest_exact_int8(onnxruntime) == expected


def engine(product):
    """Stands for the package on another CPU: ``product`` of an activation and a weight, int64, summed 64 times."""

    class Session:
        def __init__(self, *args, **kwargs):
            if product is None:
                raise RuntimeError("no such operator")

        def run(self, names, feeds):
            sums = 64 * product(feeds["x"][:, :1].astype(np.int64), onnx_products._WEIGHTS.astype(np.int64))
            return [sums.astype(np.int32)]

    module = types.ModuleType("onnxruntime")
    vars(module).update(__version__="9.9", SessionOptions=types.SimpleNamespace, InferenceSession=Session)
    return module


def test_the_smallest_exact_weight_is_told():
    assert smallest_exact_int8(engine(lambda x, w: x * w)) == -128
    assert smallest_exact_int8(engine(lambda x, w: np.clip(2 * x * w, -(2**15), 2**15 - 1) // 2)) is None
    # as on a Cortex-A72: x - 128 times w in pairs of 16 bits, which (-128) · (-128) twice overflows
    assert smallest_exact_int8(engine(lambda x, w: (2 * (x - 128) * w).astype(np.int16) // 2 + 128 * w)) == -127
    assert smallest_exact_int8(engine(None)) is None
