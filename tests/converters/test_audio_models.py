"""Tiny random classifiers of sounds through the exporters: waveforms, with and without a mask, and spectrograms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray

from edgeformer.exportable import make_exportable
from edgeformer.quantization import QUANTIZERS
from edgeformer_converters.base import ExportRequest, get_converter, quantized_layers
from edgeformer_converters.ops import QuantizedLinear, WeightFormat
from edgeformer_runtime.bundle.manifest import TensorSpec

ENCODER = {
    "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64, "num_labels": 3,
    "initializer_range": 0.3, "attn_implementation": "eager",
}  # fmt: skip
# kernels of 10, 3 and 2 samples with strides of 5, 2 and 2; a positional convolution under weight norm
SPEECH = ENCODER | {
    "conv_dim": (16, 16, 16), "conv_kernel": (10, 3, 2), "conv_stride": (5, 2, 2), "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4, "classifier_proj_size": 24,
}  # fmt: skip
AST = ENCODER | {"frequency_stride": 10, "time_stride": 10, "max_length": 64, "num_mel_bins": 32}
LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
LENGTH = 800


class Logits(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> tuple[torch.Tensor]:
        return (self.model(x, **({} if mask is None else {"attention_mask": mask})).logits,)


def make(kind: str, quantize: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind == "ast":
        model = transformers.ASTForAudioClassification(transformers.ASTConfig(**AST))
    elif kind == "hubert":
        model = transformers.HubertForSequenceClassification(transformers.HubertConfig(**SPEECH))
    else:
        config = transformers.Wav2Vec2Config(**SPEECH, **(LAYER_NORM if kind == "masked" else {}))
        model = transformers.Wav2Vec2ForSequenceClassification(config)
    make_exportable(model)
    for name, layer in list(model.named_modules()) if quantize else ():
        if isinstance(layer, torch.nn.Linear):
            weight = QUANTIZERS["rtn"](layer.weight.detach().numpy(), WeightFormat.parse("int8"))
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, QuantizedLinear(weight, layer.bias))
    return Logits(model).eval()


def request(kind: str, format: str, quantize: bool) -> ExportRequest:
    shape = ("batch", 64, 32) if kind == "ast" else ("batch", "samples")
    inputs = [TensorSpec("input_values", "float32", shape)]
    examples = [torch.randn(2, 64, 32) if kind == "ast" else torch.randn(2, LENGTH)]
    if kind == "masked":
        inputs.append(TensorSpec("attention_mask", "int64", shape))
        examples.append(torch.ones(2, LENGTH, dtype=torch.int64))
    return ExportRequest(
        module=make(kind, quantize),
        inputs=tuple(inputs),
        outputs=(TensorSpec("logits", "float32", ("batch", 3)),),
        example_inputs=tuple(examples),
        sequence_lengths=(LENGTH,) if format != "onnx" and kind != "ast" else (),
        plan=get_converter(format).plans(())[0],
    )


def run(path: Path, format: str, feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    if format == "coreml":
        from edgeformer_converters.coreml.evaluator import MilEvaluator

        return np.asarray(MilEvaluator(path).run(dict(feeds))["logits"])
    if format in ("onnx", "tensorrt"):
        session = pytest.importorskip("onnxruntime").InferenceSession(str(path))
        logits: NDArray[Any] = session.run(None, feeds)[0]
        return logits
    found = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    runner = found.get_signature_runner(next(iter(found.get_signature_list())))
    narrow = {name: value.astype(np.int32) if value.dtype == np.int64 else value for name, value in feeds.items()}
    return np.asarray(runner(**narrow)["logits"])


SLOW = pytest.mark.slow
CASES = [
    ("ast", "onnx", False),
    ("ast", "tflite", True),
    ("wav2vec2", "onnx", True),
    ("masked", "tflite", False),
    ("masked", "coreml", True),
    pytest.param("masked", "onnx", False, marks=SLOW),
    pytest.param("masked", "tensorrt", False, marks=SLOW),
    pytest.param("ast", "coreml", True, marks=SLOW),
    pytest.param("wav2vec2", "tflite", True, marks=SLOW),
    pytest.param("hubert", "onnx", False, marks=SLOW),
    pytest.param("hubert", "tflite", False, marks=SLOW),
]


@pytest.mark.parametrize(("kind", "format", "quantize"), CASES)
def test_a_classifier_computes_as_in_torch(kind: str, format: str, quantize: bool, tmp_path: Path) -> None:
    for package in get_converter(format).packages:
        pytest.importorskip(package)
    made = request(kind, format, quantize)
    converter = get_converter(format)
    path = tmp_path / converter.export(made, tmp_path).path
    weights = {name: layer.integer_weight() for name, layer in quantized_layers(made.module).items()}
    assert set(converter.read_weights(path, weights)) == set(weights)
    generator = torch.Generator().manual_seed(1)
    # an odd length, the shortest that makes two frames, and a longer one than the example's
    any_length = format in ("onnx", "tensorrt")
    lengths = (LENGTH, 503, 60, *((1501,) if format == "onnx" else ())) if any_length and kind != "ast" else (LENGTH,)
    for length in lengths:
        batch = 3 if any_length else 1
        x = torch.randn((batch, 64, 32) if kind == "ast" else (batch, length), generator=generator)
        inputs = [x]
        if kind == "masked":
            mask = (torch.arange(length) < torch.tensor([[length * 2 // 3]] + [[length]] * (batch - 1))).to(torch.int64)
            inputs = [x * mask, mask]
        with torch.inference_mode():
            expected = made.module(*inputs)[0].numpy()
        feeds = {spec.name: value.numpy() for spec, value in zip(made.inputs, inputs, strict=True)}
        # activations of quantized layers are rounded to 8 bits, row by row; Core ML and TensorRT compute in float16
        exact = 1e-5 if format in ("onnx", "tflite") else 5e-3
        tolerance = (0.05 if quantize and format != "coreml" else exact) * np.abs(expected).max()
        np.testing.assert_allclose(run(path, format, feeds), expected, atol=tolerance)
