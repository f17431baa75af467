"""TFLite with float16 weights: what is stored, and what LiteRT computes of it on the CPU."""

import numpy as np
import pytest
import torch

from edgeformer_converters.base import ExportError, ExportRequest, VariantPlan, get_converter
from edgeformer_converters.litert import flatbuffer
from edgeformer_converters.litert.half import NAME
from edgeformer_runtime.bundle.manifest import TensorSpec

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
VOCABULARY, WIDTH = 64, 48


class LookupThenLinear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(VOCABULARY, WIDTH)
        self.norm = torch.nn.LayerNorm(WIDTH)
        self.linear = torch.nn.Linear(WIDTH, 2 * WIDTH)

    def forward(self, ids):
        return (self.linear(self.norm(self.table(ids))),)


def request(module):
    return ExportRequest(
        module=module.eval(),
        inputs=(TensorSpec("ids", "int64", ("batch", "sequence")),),
        outputs=(TensorSpec("y", "float32", ("batch", "sequence", 2 * WIDTH)),),
        example_inputs=(torch.ones(2, 6, dtype=torch.int64),),
        sequence_lengths=(4, 6),
        plan=VariantPlan(NAME, NAME, (), granularity="float"),
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    directory = tmp_path_factory.mktemp("half")
    asked = request(LookupThenLinear())
    return asked, directory, get_converter(NAME).export(asked, directory)


def test_large_constants_are_float16_behind_a_dequantize(exported):
    _, directory, variant = exported
    model = flatbuffer.load(directory / variant.path)
    assert len(model.subgraphs) == 2
    for subgraph in model.subgraphs:
        stored = {}
        for operator in subgraph.operators:
            if flatbuffer.operator_name(model, operator) == "DEQUANTIZE":
                tensor = subgraph.tensors[operator.inputs[0]]
                stored[tuple(tensor.shape)] = tensor.buffer
                assert flatbuffer.type_name(tensor) == "FLOAT16"
        assert set(stored) == {(VOCABULARY, WIDTH), (2 * WIDTH, WIDTH)}
        for tensor in subgraph.tensors:  # nothing large stays in 32 bits
            if flatbuffer.type_name(tensor) == "FLOAT32":
                assert flatbuffer.constant_bytes(model, tensor).size < 4096
    assert variant.weight_formats == {"float16": 2}  # one buffer each, whatever the number of lengths
    assert variant.sequence_lengths == (4, 6)


def test_litert_computes_with_exactly_the_rounded_weights(exported):
    asked, directory, variant = exported
    rounded = LookupThenLinear().eval()
    for weight in (rounded.table.weight, rounded.linear.weight):
        weight.data = weight.data.half().float()
    ids = torch.randint(0, VOCABULARY, (1, 6), generator=torch.Generator().manual_seed(3))
    runner = interpreter.Interpreter(str(directory / variant.path), num_threads=1).get_signature_runner("seq6")
    found = runner(ids=ids.numpy().astype(np.int32))["y"]
    with torch.no_grad():
        assert np.allclose(found, rounded(ids)[0].numpy(), atol=1e-5)
        assert not np.allclose(found, asked.module(ids)[0].numpy(), atol=1e-6)  # and not with the floats of 32 bits


def test_a_weight_beyond_float16_is_refused(tmp_path):
    module = LookupThenLinear()
    module.linear.weight.data[3, 5] = 7e4
    with pytest.raises(ExportError, match=r"holds 70000, and float16 ends at 65504"):
        get_converter(NAME).export(request(module), tmp_path)
