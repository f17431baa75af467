"""Models trained with windows, from a directory to a bundle: the local function is in the file, and right."""

import shutil

import numpy as np
import onnx
import pytest
import torch

import edgeformer as ef
from edgeformer_converters.onnx.functions import NAME
from edgeformer_runtime import Session

pytestmark = pytest.mark.slow
LENGTH = 40
SHAPE = {"vocab_size": 64, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "num_labels": 2}
MORE = {"num_hidden_layers": 2, "max_position_embeddings": 64, "pad_token_id": 0, "initializer_range": 0.3}
ENDS = {"bos_token_id": 2, "eos_token_id": 3}


def make(family):
    """A classifier with windows in one layer at least, and how many of its layers have one."""
    import transformers

    kinds = ["full_attention", "sliding_attention"]
    if family == "ModernBert":
        config = transformers.ModernBertConfig(
            **SHAPE, **MORE, **ENDS, cls_token_id=2, sep_token_id=3, local_attention=12, global_attn_every_n_layers=2
        )
    elif family == "Mistral":
        config = transformers.MistralConfig(**SHAPE, **MORE, **ENDS, sliding_window=9, num_key_value_heads=2)
    else:
        config = transformers.Gemma3TextConfig(
            **SHAPE, **MORE, **ENDS, sliding_window=9, num_key_value_heads=2, head_dim=8, layer_types=kinds,
            use_bidirectional_attention=family == "Gemma3Text, an encoder",
        )  # fmt: skip
    torch.manual_seed(6)
    name = f"{family.split(',')[0]}ForSequenceClassification"
    return getattr(transformers, name)(config).eval(), 2 if family == "Mistral" else 1


@pytest.mark.parametrize(
    ("family", "formats"),
    [("ModernBert", ["onnx"]), ("Mistral", ["onnx"]), ("Gemma3Text, an encoder", ["onnx", "tflite"])],
)
def test_bundles_give_what_transformers_gives(tiny_model, tmp_path, family, formats):
    module, windows = make(family)
    module.save_pretrained(tmp_path / "model")
    shutil.copy(tiny_model / "tokenizer.json", tmp_path / "model")
    bundle = ef.compile(
        tmp_path / "model", output=tmp_path / "bundle", recipe="float32", formats=formats,
        sequence_lengths=[LENGTH],
    )  # fmt: skip
    graph = onnx.load(tmp_path / "bundle" / "variants" / "onnx" / "model.onnx").graph
    assert sum(node.op_type == NAME for node in graph.node) == windows
    ids = torch.from_numpy(np.random.default_rng(7).integers(4, 24, (1, LENGTH)))
    mask = torch.ones_like(ids)
    with torch.no_grad():
        expected = module(input_ids=ids, attention_mask=mask).logits.numpy()
    for variant in bundle.manifest.variants:
        with Session.open(tmp_path / "bundle", variant=variant.name, threads=1) as session:
            found = session.run({"input_ids": ids.numpy(), "attention_mask": mask.numpy()})["logits"]
        assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max(), variant.name
