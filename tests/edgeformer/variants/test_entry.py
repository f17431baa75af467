"""What is said of a variant whose graphs were exported one by one."""

import torch

from edgeformer.variants.entry import merged_facts, variant_entry
from edgeformer_converters.base import ExportedVariant, ExportRequest, VariantPlan


def made(**facts):
    return ExportedVariant("model.onnx", "an engine", facts=facts)


def test_one_graph_keeps_its_facts():
    facts = {"nodes": {"Gemm": 2}, "count": 3, "parser": {"said": "fine"}, "unused_layers": ["a"]}
    assert merged_facts({"main": made(**facts)}) == facts


def test_no_graph_s_facts_are_lost():
    """Equal small ints are one object, and still count twice."""
    found = merged_facts({
        "image": made(count=3, unused_layers=["a"], nodes={"Gemm": 2}, parser={"said": "1 layer", "layers": 1}),
        "text": made(count=3, unused_layers=["b"], nodes={"Gather": 1}, parser={"said": "2 layers", "layers": 2},
                     notes=("late",)),
    })  # fmt: skip
    assert found == {
        "count": 6,
        "unused_layers": ["a", "b"],
        "nodes": {"image": {"Gemm": 2}, "text": {"Gather": 1}},
        "parser": {
            "image": {"said": "1 layer", "layers": 1}, "text": {"said": "2 layers", "layers": 2},
            "said": "image: 1 layer; text: 2 layers",
        },
        "notes": ["late"],
    }  # fmt: skip


def test_what_all_graphs_say_is_said_once():
    unread = {"said": "no parser of NVIDIA's is installed"}
    found = merged_facts({name: made(parser=unread) for name in ("image", "text")})
    assert found["parser"] == {"image": unread, "text": unread, "said": unread["said"]}
    three = {**dict.fromkeys(("image", "text"), made(parser=unread)), "other": made(parser={"said": "1 layer"})}
    assert merged_facts(three)["parser"]["said"] == "image, text: no parser of NVIDIA's is installed; other: 1 layer"


def test_settings_are_joined_over_the_graphs():
    profiles = {"image": {"pixel_values": 1}, "text": {"input_ids": 1}}
    plan = VariantPlan("onnx", "onnx", ())
    entry = variant_entry(
        plan,
        {
            graph: ExportedVariant("model.onnx", "an engine", settings={"opset": 21, "profiles": profile})
            for graph, profile in profiles.items()
        },
        {graph: ExportRequest(torch.nn.Identity(), (), (), (), (), plan) for graph in profiles},
        7,
    )
    assert entry.settings == {"opset": 21, "profiles": {"pixel_values": 1, "input_ids": 1}}
    assert {name: graph.path for name, graph in entry.graphs.items()} == {
        "image": "variants/onnx/image/model.onnx", "text": "variants/onnx/text/model.onnx",
    }  # fmt: skip
