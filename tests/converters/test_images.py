"""Tiny models of images, and the text towers beside them, through every exporter: executed and compared with torch."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgeformer.exportable import make_exportable
from edgeformer.model.layers import quantizable_layers
from edgeformer.quantization import QUANTIZERS
from edgeformer.tasks.masks import causal_mask
from edgeformer_converters.base import ExportedVariant, ExportRequest, VariantPlan, get_converter, quantized_layers
from edgeformer_converters.ops import QuantizedEmbedding, QuantizedLinear, WeightFormat
from edgeformer_runtime.bundle.manifest import TensorSpec, VariantEntry
from edgeformer_runtime.engines.base import LoadedModel

sys.path.insert(0, str(Path(__file__).parents[1]))
import tiny_images

pytest.importorskip("transformers")

FORMATS = ("onnx", "tensorrt", "tflite", "coreml")


class Function(torch.nn.Module):
    """A tiny model as a function of tensors."""

    def __init__(self, name: str, model: torch.nn.Module) -> None:
        super().__init__()
        self.name, self.model = name, model

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor]:
        if self.name == "clip-text":
            return (tiny_images.output(self.model(tensors[0], attention_mask=causal_mask(tensors[1]))),)
        return (tiny_images.output(self.model(*tensors)),)


def quantized(model: Any, text: str) -> None:
    """Every linear, the patches' among them, and every table of 32 rows, in place."""
    for name, layer in quantizable_layers(model).items():
        if isinstance(layer, torch.nn.Embedding) and layer.num_embeddings < 32:
            continue
        weight = QUANTIZERS["rtn"](layer.weight.detach().numpy(), WeightFormat.parse(text))
        linear = isinstance(layer, torch.nn.Linear)
        parent, _, leaf = name.rpartition(".")
        made = QuantizedLinear(weight, layer.bias) if linear else QuantizedEmbedding(weight)
        setattr(model.get_submodule(parent), leaf, made)


def inputs(name: str, rows: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    if name == "clip-text":
        ids = tiny_images.tokens(rows, seed)
        return ids, torch.ones_like(ids)
    return (tiny_images.tokens(rows, seed) if name in tiny_images.TEXTS else tiny_images.pixels(name, rows, seed),)


def request_for(name: str, format: str, integers: str | None) -> ExportRequest:
    model = tiny_images.tiny(name)
    make_exportable(model)
    if integers is not None:
        quantized(model, integers)
    function = Function(name, model).eval()
    examples = inputs(name, 2)
    if name == "clip-text":
        specs = tuple(TensorSpec(each, "int64", ("batch", "sequence")) for each in ("input_ids", "attention_mask"))
    elif name in tiny_images.TEXTS:  # trained on texts padded to one length: its last token's state is the result
        specs = (TensorSpec("input_ids", "int64", ("batch", tiny_images.TOKENS)),)
    else:
        specs = (TensorSpec("pixel_values", "float32", ("batch", *examples[0].shape[1:])),)
    width = function(*examples)[0].shape[1]
    return ExportRequest(
        module=function,
        inputs=specs,
        outputs=(TensorSpec("result", "float32", ("batch", width)),),
        example_inputs=examples,
        sequence_lengths=(tiny_images.TOKENS,),  # images have no such dimension, and must not mind
        plan=get_converter(format).plans(())[0],
    )


def exported(request: ExportRequest, directory: Path) -> ExportedVariant:
    return get_converter(request.plan.format).export(request, directory)


def loaded_of(request: ExportRequest, variant: ExportedVariant, directory: Path) -> LoadedModel:
    entry = VariantEntry(request.plan.name, request.plan.format, variant.engine, variant.path, 0)
    return get_converter(request.plan.format).host_engine().load(directory / variant.path, entry, 1)


def run(request: ExportRequest, variant: ExportedVariant, directory: Path, rows: int) -> NDArray[np.float32]:
    """Each row alone where the file has batch 1, else all at once."""
    loaded = loaded_of(request, variant, directory)
    feeds = {spec.name: tensor.numpy() for spec, tensor in zip(request.inputs, given(request, rows), strict=True)}
    step = variant.fixed_batch or rows
    parts = [{key: array[at : at + step] for key, array in feeds.items()} for at in range(0, rows, step)]
    results = [loaded.run(part)["result"] for part in parts]
    loaded.close()
    return np.concatenate(results)


def given(request: ExportRequest, rows: int) -> tuple[torch.Tensor, ...]:
    return inputs(request.module.name, rows, seed=7)  # type: ignore[arg-type]


def expected(request: ExportRequest, rows: int) -> NDArray[np.float32]:
    with torch.no_grad():
        result: NDArray[np.float32] = request.module(*given(request, rows))[0].numpy()
    return result


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The smallest over rows."""
    return float(((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)).min())


def check(name: str, format: str, integers: str | None, directory: Path) -> ExportedVariant:
    request = request_for(name, format, integers)
    variant = exported(request, directory)
    rows = 3
    got, wanted = run(request, variant, directory, rows), expected(request, rows)
    assert got.shape == wanted.shape
    exact = integers is None and format in ("onnx", "tflite")
    assert cosine(got, wanted) > (0.99999 if exact else 0.995 if integers is None else 0.98)
    if exact:
        np.testing.assert_allclose(got, wanted, atol=2e-4 * float(np.abs(wanted).max()))
    chosen = {path: layer.integer_weight() for path, layer in quantized_layers(request.module).items()}
    found = get_converter(format).read_weights(directory / variant.path, chosen)
    assert [path for path, weight in chosen.items() if path not in found or not weight.same_as(found[path])] == []
    return variant


# in the fast run: each format, and the models that differ most
FAST = {
    ("vit", "onnx", "int8"), ("vit", "coreml", "int4"), ("vit", "tensorrt", None), ("vit", "tflite", "int4"),
    ("dinov2", "coreml", None), ("swin", "coreml", "int8"), ("siglip-image", "coreml", "int4"),
    ("clip-text", "coreml", "int8"),
}  # fmt: skip
# in the slow run: each model in each format, each model and each format with each kind of weights
INTEGERS = (None, "int8", "int4")
SLOW = {
    (name, format, INTEGERS[(row + column) % 3])
    for row, name in enumerate(tiny_images.MODELS) for column, format in enumerate(FORMATS)
}  # fmt: skip
CASES = [
    pytest.param(*case, marks=() if case in FAST else pytest.mark.slow if case in SLOW else pytest.mark.exhaustive)
    for case in itertools.product(tiny_images.MODELS, FORMATS, INTEGERS)
]


@pytest.mark.parametrize(("name", "format", "integers"), CASES)
def test_computes_as_in_torch(name: str, format: str, integers: str | None, tmp_path: Path) -> None:
    variant = check(name, format, integers, tmp_path)
    # a length is a fact of texts alone, though the request asks for one
    assert variant.sequence_lengths == ((tiny_images.TOKENS,) if name == "clip-text" and variant.fixed_batch else ())


def test_every_operator_of_an_image_model_goes_to_the_fast_kernels(tmp_path: Path) -> None:
    """LiteRT leaves none to its slow ones: no mask that is broadcast, no slice with steps."""
    variant = exported(request_for("swin", "tflite", "int8"), tmp_path)
    assert variant.facts["xnnpack_left_out"] == {}
    assert variant.facts["signatures"] == ["serving_default"]


class Frames(torch.nn.Module):
    """Of sounds: a dimension that varies and is called neither "sequence" nor "batch"."""

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.tanh(frames).mean(dim=1),)


@pytest.mark.parametrize("format", FORMATS)
def test_any_name_for_the_dimension_that_varies(format: str, tmp_path: Path) -> None:
    frames = torch.randn(2, 8, 4)
    request = ExportRequest(
        module=Frames().eval(),
        inputs=(TensorSpec("frames", "float32", ("batch", "frames", 4)),),
        outputs=(TensorSpec("result", "float32", ("batch", 4)),),
        example_inputs=(frames,),
        sequence_lengths=(8, 16),
        plan=get_converter(format).plans(())[0],
    )
    variant = exported(request, tmp_path)
    loaded = loaded_of(request, variant, tmp_path)
    for length in (8, 16):
        x = torch.randn(1, length, 4)
        np.testing.assert_allclose(loaded.run({"frames": x.numpy()})["result"], torch.tanh(x).mean(1), atol=2e-3)
    loaded.close()


def test_an_old_apple_device_gets_images_too(tmp_path: Path) -> None:
    """Its variants of texts have a range of lengths; images have one shape."""
    plan = VariantPlan("coreml", "coreml", (), {"deployment_target": "iOS17", "shapes": "range"})
    request = replace(request_for("vit", "coreml", "int8"), plan=plan)
    variant = exported(request, tmp_path)
    assert cosine(run(request, variant, tmp_path, 2), expected(request, 2)) > 0.98


RELEASES = {"8.2": 13, "8.5": 17}  # of TensorRT, and the newest opset that it reads
OLDER = [
    pytest.param(name, release, marks=pytest.mark.slow if row % 3 == column else pytest.mark.exhaustive)
    for row, name in enumerate(tiny_images.MODELS) for column, release in enumerate(RELEASES)
]  # fmt: skip


@pytest.mark.parametrize(("name", "release"), OLDER)
def test_older_releases_of_tensorrt(name: str, release: str, tmp_path: Path) -> None:
    plan = VariantPlan("tensorrt", "tensorrt", (), {"tensorrt": release, "opset": RELEASES[release]})
    request = replace(request_for(name, "tensorrt", "int8"), plan=plan)
    variant = exported(request, tmp_path)
    assert cosine(run(request, variant, tmp_path, 3), expected(request, 3)) > 0.98
