"""DeBERTa's attention as it is exported equals transformers' own, in every setting that its versions have."""

import copy

import numpy as np
import pytest
import torch

import edgeformer as ef
from edgeformer.errors import ModelError
from edgeformer.exportable import make_exportable
from edgeformer.families import architecture_for
from edgeformer.pruning.surgery import prune_block
from edgeformer.pruning.units import Kept, prunable_blocks
from edgeformer.tasks import get_task
from edgeformer.tasks.module import TaskModule, TaskOptions
from edgeformer_converters.base import ExportRequest, get_converter
from edgeformer_runtime.bundle.manifest import TaskSpec

VOCABULARY = 90
SMALL = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 48, "max_position_embeddings": 96, "pooler_hidden_size": 32, "num_labels": 2,
    "relative_attention": True, "initializer_range": 0.3,
}  # fmt: skip
V3 = {
    "position_buckets": 16, "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False, "type_vocab_size": 0,
}  # fmt: skip
APART = {**V3, "share_att_key": False}
XLARGE = {**V3, "conv_kernel_size": 3, "conv_act": "gelu"}
NO_BUCKETS = {"position_buckets": -1, "max_relative_positions": 12, "pos_att_type": ["c2p"], "type_vocab_size": 2}
NO_POSITIONS = {"relative_attention": False, "pos_att_type": None}
V1 = {"pos_att_type": ["c2p", "p2c"], "position_biased_input": False, "type_vocab_size": 0}
SHORT_SPAN = {"pos_att_type": ["p2c"], "max_relative_positions": 10, "talking_head": True}
SETTINGS = {
    "v3": ("V2", V3), "projections-apart": ("V2", APART), "v2-xlarge": ("V2", XLARGE), "no-buckets": ("V2", NO_BUCKETS),
    "no-positions": ("V2", NO_POSITIONS), "v1": ("", V1), "v1-short-span": ("", SHORT_SPAN),
}  # fmt: skip
HEADS = {
    "text-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "question-answering": "ForQuestionAnswering",
    "feature-extraction": "Model",
}
INPUTS = ("input_ids", "attention_mask")


def deberta(name, task="text-classification"):
    import transformers

    version, settings = SETTINGS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"Deberta{version}Config")(**{**SMALL, **settings})
    return getattr(transformers, f"Deberta{version}{HEADS[task]}")(config).eval()


def feeds(length, batch=2):
    ids = torch.randint(3, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(length))
    mask = torch.ones_like(ids)
    mask[-1, max(1, length - length // 3) :] = 0
    ids[mask == 0] = 0
    return ids, mask


def as_compiled(module, task):
    made = copy.deepcopy(module)
    make_exportable(made)
    return TaskModule(made, get_task(TaskSpec(task)), INPUTS, TaskOptions(normalize=False, mask="own")).eval()


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("task", HEADS)
def test_equals_transformers_on_padded_batches(name, task):
    module = deberta(name, task)
    ours = as_compiled(module, task)
    for length in (1, 2, 9, 24, 70):
        ids, mask = feeds(length)
        with torch.no_grad():
            expected = ours.outputs(module(input_ids=ids, attention_mask=mask), mask)
            found = ours(ids, mask)
        for a, b in zip(found, expected, strict=True):
            real = mask.bool()
            a, b = (a[real], b[real]) if a.shape[:2] == real.shape else (a, b)
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["v3", "projections-apart"])
def test_heads_are_cut_with_their_position_projections(tmp_path, name):
    """A cut head is one whose output columns are zero: with all of its rows gone nothing else may have changed."""
    module = deberta(name)
    module.save_pretrained(tmp_path)
    model = ef.load_model(tmp_path)
    family = architecture_for("deberta-v2")
    zeroed = model.copy_module()
    for block in prunable_blocks(model):
        zeroed.get_submodule(block.output).weight[:, : block.head_dim] = 0
    cut = model.copy_module()
    for block in family.find_blocks(cut):
        prune_block(cut, block, family, Kept((1, 2, 3), tuple(range(block.channels))))
    ids, mask = feeds(20)
    with torch.no_grad():
        expected = model.with_module(zeroed).callable_module()(ids, mask)[0]
        found = model.with_module(cut).callable_module()(ids, mask)[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    apart = [path for path, _ in cut.named_modules() if path.endswith(("pos_key_proj", "pos_query_proj"))]
    assert len(apart) == (4 if name == "projections-apart" else 0)
    assert {cut.get_submodule(path).out_features for path in apart} <= {24}


def test_version_1_has_no_heads_to_cut(tmp_path):
    deberta("v1").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="one linear"):
        prunable_blocks(ef.load_model(tmp_path))


@pytest.mark.parametrize(
    "name",
    ["v3", pytest.param("v2-xlarge", marks=pytest.mark.slow), pytest.param("v1-short-span", marks=pytest.mark.slow)],
)
def test_one_onnx_file_is_right_at_every_length(tmp_path, name):
    """Lengths above and below that of the example, and of the position table: what a trace would freeze."""
    import onnxruntime

    module = deberta(name)
    module.save_pretrained(tmp_path / "model")
    model = ef.load_model(tmp_path / "model")
    converter = get_converter("onnx")
    request = ExportRequest(
        module=model.callable_module(), inputs=model.inputs, outputs=model.outputs,
        example_inputs=model.example_inputs, sequence_lengths=(96,), plan=converter.plans(())[0],
    )  # fmt: skip
    made = converter.export(request, tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / made.path, providers=["CPUExecutionProvider"])
    for length in (1, 7, 40, 96):
        ids, mask = feeds(length, batch=3)
        found = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
        with torch.no_grad():
            expected = module(input_ids=ids, attention_mask=mask).logits.numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
