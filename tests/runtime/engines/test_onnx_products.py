from __future__ import annotations

import types

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from edgeformer_runtime.engines import onnx_products
from edgeformer_runtime.engines.onnx_products import int8_is_exact
from edgeformer_runtime.system import probe


def test_the_file_is_a_product_of_the_largest_values():
    proto = onnx.load_from_string(onnx_products._model())
    onnx.checker.check_model(proto, full_check=True)
    assert [node.op_type for node in proto.graph.node] == ["MatMulInteger"]
    weight = numpy_helper.to_array(proto.graph.initializer[0])
    assert weight.dtype == np.int8
    assert (weight == 127).all()


def test_the_answer_is_that_of_this_cpus_instructions():
    """x86 without VNNI saturates, every other CPU doesn't."""
    facts = probe()
    x86 = (facts.machine or "").lower() in onnx_products.X86
    vnni = {"avx_vnni", "avx512_vnni", "amx_int8"} & set(facts.cpu_features)
    assert int8_is_exact(onnxruntime) is (bool(vnni) or not x86)


class _Session:
    def __init__(self, result):
        self.result = result

    def run(self, names, feeds):
        return [np.full((len(feeds["x"]), 32), self.result, np.int32)]


def engine(result):
    """Stands for the package on another CPU: what its only product gives."""

    def session(*args, **kwargs):
        if result is None:
            raise RuntimeError("no such operator")
        return _Session(result)

    module = types.ModuleType("onnxruntime")
    vars(module).update(__version__="9.9", SessionOptions=types.SimpleNamespace, InferenceSession=session)
    return module


def test_sums_that_were_cut_off_and_failures_are_told():
    assert int8_is_exact(engine(255 * 127 * 64))
    assert not int8_is_exact(engine((2**15 - 1) * 32))
    assert not int8_is_exact(engine(None))
