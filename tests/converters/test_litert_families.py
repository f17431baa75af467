"""Tiny random models of each family through the exporter, run and compared with torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgeformer.quantization import QUANTIZERS
from edgeformer.tasks import get_task
from edgeformer.tasks.module import TaskModule, TaskOptions, input_specs
from edgeformer_converters.base import ExportRequest, VariantPlan, quantized_layers
from edgeformer_converters.litert.export import LiteRTConverter
from edgeformer_converters.ops import QuantizedEmbedding, QuantizedLinear, WeightFormat
from edgeformer_runtime.bundle.manifest import TaskSpec

pytest.importorskip("litert_torch")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")
transformers = pytest.importorskip("transformers")

PAD = 1  # RoBERTa's and MPNet's: their position ids count the tokens that aren't padding
BERT_LIKE = {
    "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4,
    "intermediate_size": 64, "max_position_embeddings": 40, "pad_token_id": PAD,
}  # fmt: skip
DISTILBERT = {
    "vocab_size": 99, "dim": 32, "n_layers": 1, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 40,
    "pad_token_id": PAD,
}  # fmt: skip
FAMILIES = {
    "Bert": BERT_LIKE,
    "Roberta": BERT_LIKE,
    "XLMRoberta": BERT_LIKE,
    "DistilBert": DISTILBERT,
    "MPNet": BERT_LIKE,
    "Electra": BERT_LIKE | {"embedding_size": 16},
}
HEADS = {
    "text-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "question-answering": "ForQuestionAnswering",
    "feature-extraction": "Model",
}
LENGTH = 16
SLOW = pytest.mark.slow  # a few seconds each; XLM-RoBERTa's code is RoBERTa's
CASES = [
    ("Bert", "text-classification"),
    ("Roberta", "text-classification"),
    ("DistilBert", "text-classification"),
    ("MPNet", "text-classification"),
    ("Electra", "text-classification"),
    ("Bert", "feature-extraction"),
    pytest.param("XLMRoberta", "text-classification", marks=SLOW),
    pytest.param("Bert", "token-classification", marks=SLOW),
    pytest.param("DistilBert", "question-answering", marks=SLOW),
]


def quantized(model: Any) -> Any:
    """Every linear and embedding in int8, in place."""
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, torch.nn.Linear | torch.nn.Embedding):
            continue
        weight = QUANTIZERS["rtn"](layer.weight.detach().numpy(), WeightFormat.parse("int8"))
        linear = isinstance(layer, torch.nn.Linear)
        new = QuantizedLinear(weight, layer.bias) if linear else QuantizedEmbedding(weight)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, new)
    return model


def family_request(family: str, task_name: str) -> ExportRequest:
    torch.manual_seed(0)
    width = {"feature-extraction": 32, "question-answering": 2}.get(task_name, 3)
    config = getattr(transformers, f"{family}Config")(
        **FAMILIES[family], num_labels=width, attn_implementation="eager", initializer_range=0.3
    )
    model = quantized(getattr(transformers, family + HEADS[task_name])(config).eval())
    names = ("input_ids", "attention_mask")
    task = TaskSpec(task_name, ("a", "b", "c"))
    return ExportRequest(
        module=TaskModule(model, get_task(TaskSpec(task_name)), names, TaskOptions()).eval(),
        inputs=input_specs(names, PAD),
        outputs=get_task(task).output_specs(width),
        example_inputs=(torch.ones(2, LENGTH, dtype=torch.int64), torch.ones(2, LENGTH, dtype=torch.int64)),
        sequence_lengths=(LENGTH,),
        plan=VariantPlan("tflite", "tflite", ()),
    )


@pytest.mark.parametrize(("family", "task"), CASES)
def test_a_family_computes_as_in_torch(family: str, task: str, tmp_path: Path) -> None:
    request = family_request(family, task)
    variant = LiteRTConverter().export(request, tmp_path)
    weights = {path: layer.integer_weight() for path, layer in quantized_layers(request.module).items()}
    found = LiteRTConverter().read_weights(tmp_path / variant.path, weights)
    assert all(weight.same_as(weights[name]) for name, weight in found.items())
    assert len(found) == variant.facts["layers_bit_equal"] >= len(weights) - 1  # a pooler may be unused
    runner = interpreter.Interpreter(str(tmp_path / variant.path)).get_signature_runner(f"seq{LENGTH}")
    generator = torch.Generator().manual_seed(1)
    for true_length in (LENGTH, 5):
        ids = torch.randint(2, 99, (1, LENGTH), generator=generator)
        mask = (torch.arange(LENGTH) < true_length).to(torch.int64)[None]
        ids = torch.where(mask.bool(), ids, PAD)
        expected = [tensor.detach().numpy() for tensor in request.module(ids, mask)]
        actual = runner(input_ids=ids.numpy().astype(np.int32), attention_mask=mask.numpy().astype(np.int32))
        for spec, wanted in zip(request.outputs, expected, strict=True):
            got = actual[spec.name]
            assert got.shape == wanted.shape
            # outputs at padded positions mean nothing
            if "sequence" in spec.shape:
                got, wanted = got[:, :true_length], wanted[:, :true_length]
            cosine = float((got * wanted).sum() / np.linalg.norm(got) / np.linalg.norm(wanted))
            assert cosine > 0.995, (spec.name, true_length, cosine)
