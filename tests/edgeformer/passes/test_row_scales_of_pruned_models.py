"""Row scales cost time, so they go to the layers that a level names, in pruned models as well."""

from dataclasses import replace

import onnx
import onnxruntime
import pytest

import edgeformer as ef
from edgeformer.families import architecture_for
from edgeformer.passes.base import PassContext, run_passes
from edgeformer.passes.prune_structured import PruneStructured
from edgeformer.passes.quantize import Quantize
from edgeformer_converters.base import ExportRequest
from edgeformer_converters.onnx.export import OnnxConverter

PRUNE = PruneStructured(heads=0.5, channels=0.25, importance="magnitude", reconstruct=False)


@pytest.mark.parametrize(
    ("level", "a_block"),
    [
        ("down", 1), ("feed_forward", 2),
        pytest.param("none", 0, marks=pytest.mark.exhaustive), pytest.param("all", 4, marks=pytest.mark.exhaustive),
    ],
)  # fmt: skip
def test_pruned_attention_does_not_pass_for_feed_forward(tiny_model, tmp_path, level, a_block):
    model = run_passes(ef.load_model(tiny_model), (PRUNE, Quantize()), PassContext()).model
    blocks = architecture_for(model.architecture).find_blocks(model.module)
    converter = OnnxConverter()
    (plan,) = converter.plans(())
    plan = replace(plan, settings={**plan.settings, "row_scales": level})
    request = ExportRequest(model.callable_module(), model.inputs, model.outputs, model.example_inputs, (), plan)
    made = converter.export(request, tmp_path)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "in_session.onnx")  # functions written out, equal parts merged
    onnxruntime.InferenceSession(tmp_path / made.path, options, providers=["CPUExecutionProvider"])
    in_session = [node.op_type for node in onnx.load(tmp_path / "in_session.onnx").graph.node]
    pooler = 1 if level == "all" else 0  # query, key and value share theirs; the head stays in floats
    assert in_session.count("ReduceMax") == a_block * len(blocks) + pooler
