"""Core ML packages: integers carried bit by bit, equal bytes for equal models, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("coremltools")

from edgeformer_converters.base import ExportedVariant, ExportError, ExportRequest, VariantPlan, quantized_layers
from edgeformer_converters.coreml.evaluator import MilEvaluator
from edgeformer_converters.coreml.export import CoreMLConverter
from edgeformer_converters.coreml.program import MilProgram
from edgeformer_converters.coreml.read_weights import two_levels
from edgeformer_converters.ops import IntegerWeight, QuantizedEmbedding, QuantizedLinear, WeightFormat
from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.device.target import EngineSpec, Target
from edgeformer_runtime.errors import InputError

WIDTH, VOCABULARY = 128, 40
FORMATS = (
    "int8",
    "int8-asym",
    "int8-tensor",
    "int8-asym-tensor",
    "int8-block64",
    "int8-asym-block32",
    "int4",
    "int4-asym",
    "int4-tensor",
    "int4-block32",
    "int4-block128",
    "int4-asym-block32",
)
INT8_FORMATS = ("int8", "int8-asym", "int8-tensor", "int8-asym-tensor")


def random_weight(rng: np.random.Generator, rows: int, columns: int, text: str, reach: float = 1.0) -> IntegerWeight:
    """Integers drawn, not rounded from floats, within ``reach`` of the range, as GPTQ leaves them."""
    form = WeightFormat.parse(text)
    low, high = (int(bound * reach) for bound in form.integer_range)
    blocks = form.granularity == "block"
    groups = columns // form.block_size if form.block_size else 1
    scale_rows = 1 if form.granularity == "tensor" else rows

    def draw(shape: tuple[int, int], low: int, high: int) -> Any:
        return rng.integers(low, high + 1, shape).astype(np.int8)

    def scales(shape: tuple[int, int]) -> Any:
        return (rng.integers(32, 64, shape) * 2.0**-13).astype(np.float32)

    return IntegerWeight(
        form,
        draw((rows, columns), low, high),
        scales((scale_rows, 1)),
        block_multiplier=draw((rows, groups), 1, form.max_multiplier) if blocks and form.bits == 4 else None,
        zero_point=None if form.symmetric else draw((scale_rows, groups), low, high),
        block_scale=scales((rows, groups)) if blocks and form.bits == 8 else None,
    )


class Stack(torch.nn.Module):
    """One embedding and one linear for each format, each output the sum of a small chain."""

    def __init__(self, formats: tuple[str, ...], reach: float = 1.0) -> None:
        super().__init__()
        rng = np.random.default_rng(7)
        self.tables = torch.nn.ModuleList(
            QuantizedEmbedding(random_weight(rng, VOCABULARY, WIDTH, text, reach)) for text in formats
        )
        self.layers = torch.nn.ModuleList(
            QuantizedLinear(random_weight(rng, WIDTH, WIDTH, text, reach), torch.randn(WIDTH)) for text in formats
        )

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor]:
        total = torch.zeros(1)
        for table, layer in zip(self.tables, self.layers, strict=True):
            total = total + torch.tanh(layer(table(ids)))
        return (total,)


def request_for(
    module: torch.nn.Module, settings: Mapping[str, Any] | None = None, lengths: tuple[int, ...] = (8, 16)
) -> ExportRequest:
    ids = TensorSpec("ids", "int64", ("batch", "sequence"))
    result = TensorSpec("result", "float32", ("batch", "sequence", WIDTH))
    example = (torch.randint(0, VOCABULARY, (2, 5)),)
    plan = VariantPlan("coreml", "coreml", (), settings or {})
    return ExportRequest(module.eval(), (ids,), (result,), example, lengths, plan)


def weights_of(request: ExportRequest) -> dict[str, IntegerWeight]:
    return {path: layer.integer_weight() for path, layer in quantized_layers(request.module).items()}


def export(request: ExportRequest, directory: Path) -> tuple[Path, ExportedVariant]:
    variant = CoreMLConverter().export(request, directory)
    return directory / variant.path, variant


def assert_equal_integers(path: Path, request: ExportRequest) -> None:
    wanted = weights_of(request)
    found = CoreMLConverter().read_weights(path, wanted)
    assert {name: name in found and weight.same_as(found[name]) for name, weight in wanted.items()} == dict.fromkeys(
        wanted, True
    )


def assert_runs_like_torch(path: Path, request: ExportRequest, length: int) -> None:
    ids = np.random.default_rng(length).integers(0, VOCABULARY, (1, length))
    with torch.no_grad():
        expected = request.module(torch.from_numpy(ids))[0].numpy()
    found = MilEvaluator(path).run({"ids": ids})["result"]
    assert found.shape == expected.shape
    # biases are float16 in the package
    assert np.allclose(found, expected, rtol=1e-3, atol=0.02)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportRequest, Path, ExportedVariant]:
    torch.manual_seed(0)
    request = request_for(Stack(FORMATS))
    return request, *export(request, tmp_path_factory.mktemp("ios18"))


@pytest.mark.parametrize("text", FORMATS)
def test_every_format_is_carried_bit_by_bit(exported: tuple[ExportRequest, Path, ExportedVariant], text: str) -> None:
    request, path, _ = exported
    wanted = {name: weight for name, weight in weights_of(request).items() if str(weight.format) == text}
    found = CoreMLConverter().read_weights(path, wanted)
    assert len(wanted) == 2
    assert all(found[name].same_as(weight) for name, weight in wanted.items())


def test_the_package_computes_what_the_module_computes(
    exported: tuple[ExportRequest, Path, ExportedVariant],
) -> None:
    request, path, variant = exported
    for length in (8, 16):
        assert_runs_like_torch(path, request, length)
    assert (variant.engine, variant.sequence_lengths, variant.fixed_batch) == ("coreml", (8, 16), 1)
    assert variant.min_engine_version == "iOS18"
    assert variant.facts["operators"]["constexpr_blockwise_shift_scale"] == 2 * len(FORMATS)


def test_values_come_from_the_file_alone(exported: tuple[ExportRequest, Path, ExportedVariant]) -> None:
    request, path, _ = exported
    rng = np.random.default_rng(1)
    others = {
        name: random_weight(rng, *weight.integers.shape, str(weight.format))
        for name, weight in weights_of(request).items()
    }
    found = CoreMLConverter().read_weights(path, others)
    assert all(found[name].same_as(weight) for name, weight in weights_of(request).items())
    assert not any(found[name].same_as(other) for name, other in others.items())


def test_another_form_or_name_is_left_out(exported: tuple[ExportRequest, Path, ExportedVariant]) -> None:
    _, path, _ = exported
    rng = np.random.default_rng(1)
    asked = {
        "layers.0": random_weight(rng, WIDTH, WIDTH, "int4"),  # holds int8
        "layers.1": random_weight(rng, WIDTH, WIDTH, "int8"),  # has zero points
        "layers.4": random_weight(rng, WIDTH, WIDTH, "int8-block32"),  # has blocks of 64
        "layers.6": random_weight(rng, WIDTH, 64, "int4"),  # is wider
        "layers.99": random_weight(rng, WIDTH, WIDTH, "int8"),
    }
    assert CoreMLConverter().read_weights(path, asked) == {}


def test_equal_models_are_equal_bytes_without_dates_or_paths(
    exported: tuple[ExportRequest, Path, ExportedVariant], tmp_path: Path
) -> None:
    request, first, _ = exported
    second, _ = export(request, tmp_path)

    def digests(path: Path) -> dict[str, str]:
        files = [file for file in path.rglob("*") if file.is_file()]
        return {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}

    assert digests(first) == digests(second)
    assert len(digests(first)) == 3
    text = (second / "Data/com.apple.CoreML/model.mlmodel").read_bytes()
    for leak in (b"conversion_date", b"/home", b"/tmp", b".py", b"torch==", str(Path.cwd()).encode()):
        assert leak not in text


def test_coremltools_itself_accepts_the_package(
    exported: tuple[ExportRequest, Path, ExportedVariant],
) -> None:
    import coremltools as ct

    model = ct.models.MLModel(str(exported[1]), skip_model_load=True)
    assert model.get_spec().specificationVersion == ct.target.iOS18
    assert dict(model.user_defined_metadata) == {}


def test_narrow_integers_keep_their_type(tmp_path: Path) -> None:
    """Integers that don't reach the ends of their range, or are all positive, stay what they were."""
    module = Stack(("int8", "int4", "int8-asym", "int4-block32"), reach=0.05)
    with torch.no_grad():
        for layer in quantized_layers(module).values():
            layer.integers.abs_()
    request = request_for(module)
    path, _ = export(request, tmp_path)
    assert_equal_integers(path, request)


def test_ios17_holds_int8(tmp_path: Path) -> None:
    request = request_for(Stack(INT8_FORMATS), {"deployment_target": "iOS17"})
    path, variant = export(request, tmp_path)
    assert variant.min_engine_version == "iOS17"
    assert variant.facts["operators"]["constexpr_affine_dequantize"] == 2 * len(INT8_FORMATS)
    assert_equal_integers(path, request)
    assert_runs_like_torch(path, request, 16)


@pytest.mark.parametrize("text", ["int4", "int4-block32", "int8-block64"])
def test_ios17_refuses_finer_weights_naming_the_layer(text: str) -> None:
    request = request_for(Stack(("int8", text)), {"deployment_target": "iOS17"})
    with pytest.raises(ExportError, match=rf"iOS17.*'tables\.1' is {text}.*iOS18"):
        CoreMLConverter().check(request)


def test_a_range_of_shapes(tmp_path: Path) -> None:
    request = request_for(Stack(("int8",)), {"shapes": "range"})
    path, variant = export(request, tmp_path)
    assert variant.sequence_lengths == ()
    assert variant.settings["max_sequence_length"] == 16
    assert str(MilProgram.load(path).input_shapes["ids"]) == "[1, 1…16]"
    for length in (1, 11, 16):
        assert_runs_like_torch(path, request, length)
    with pytest.raises(ExportError, match="1…16"):
        MilEvaluator(path).run({"ids": np.zeros((1, 17), np.int64)})


class Masked(Stack):
    """Two inputs whose lengths vary together."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor]:
        return (super().forward(ids)[0] * mask[..., None],)


def test_enumerated_shapes_of_all_inputs_are_the_lengths_that_the_manifest_says(tmp_path: Path) -> None:
    one = request_for(Masked(("int8",)), {"shapes": "enumerated"}, lengths=(4, 8, 16))
    mask = TensorSpec("mask", "int64", ("batch", "sequence"))
    examples = (*one.example_inputs, torch.ones(2, 5, dtype=torch.int64))
    _, variant = export(replace(one, inputs=(*one.inputs, mask), example_inputs=examples), tmp_path)
    from coremltools.models.utils import load_spec

    spec = load_spec(str(tmp_path / variant.path))
    shapes = {
        item.name: sorted(tuple(shape.shape) for shape in item.type.multiArrayType.enumeratedShapes.shapes)
        for item in spec.description.input
    }
    assert variant.sequence_lengths == (4, 8, 16)
    assert shapes == {name: [(1, length) for length in variant.sequence_lengths] for name in ("ids", "mask")}


def test_one_length_is_a_fixed_shape(tmp_path: Path) -> None:
    request = request_for(Stack(("int8",)), lengths=(12,))
    path, _ = export(request, tmp_path)
    assert_runs_like_torch(path, request, 12)
    with pytest.raises(ExportError, match=r"shape \[1, 8\].*\[1, 12\]"):
        MilEvaluator(path).run({"ids": np.zeros((1, 8), np.int64)})


class Shared(torch.nn.Module):
    """A table used twice under two paths, and a second linear with the weight of the first."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(3)
        self.first = self.second = QuantizedEmbedding(random_weight(rng, VOCABULARY, WIDTH, "int4"))
        weight = random_weight(rng, WIDTH, WIDTH, "int8")
        self.left, self.right = QuantizedLinear(weight, None), QuantizedLinear(weight, torch.ones(WIDTH))

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.left(torch.tanh(self.first(ids))) + self.right(torch.sin(self.second(ids))),)


def test_shared_tables_stay_one_and_equal_weights_are_found(tmp_path: Path) -> None:
    request = request_for(Shared())
    path, variant = export(request, tmp_path)
    assert set(weights_of(request)) == {"first", "left", "right"}
    assert_equal_integers(path, request)
    assert variant.facts["operators"]["constexpr_blockwise_shift_scale"] == 2
    assert_runs_like_torch(path, request, 8)


class Pruned(Stack):
    """Its second layer contributes nothing."""

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.layers[0](self.tables[0](ids)),)


def test_layers_that_no_output_needs_are_reported(tmp_path: Path) -> None:
    request = request_for(Pruned(("int8", "int4")))
    path, variant = export(request, tmp_path)
    assert variant.facts["unused_layers"] == ["layers.1", "tables.1"]
    assert set(CoreMLConverter().read_weights(path, weights_of(request))) == {"layers.0", "tables.0"}


class Unknown(torch.nn.Module):
    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.special.bessel_j0(ids.float()[:, :, None].expand(-1, -1, WIDTH)),)


def test_an_operator_without_translation_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"coreml \(iOS18\): operator 'special_bessel_j0'") as caught:
        CoreMLConverter().export(request_for(Unknown()), tmp_path)
    assert "\n" not in str(caught.value)


def test_coremltools_stays_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    export(request_for(Stack(("int8",))), tmp_path)
    assert capfd.readouterr() == ("", "")


def test_the_request_is_left_as_it_was(tmp_path: Path) -> None:
    module = Stack(("int8",))
    before = [(name, type(child)) for name, child in module.named_modules()]
    export(request_for(module), tmp_path)
    assert [(name, type(child)) for name, child in module.named_modules()] == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"deployment_target": "iOS12"}, "deployment_target = 'iOS12': expected iOS18 or iOS17"),
        ({"shapes": "any"}, "shapes = 'any': expected enumerated or range"),
        ({"shape": "range"}, "setting 'shape' is unknown: expected one of deployment_target, shapes"),
    ],
)
def test_settings_are_checked(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        CoreMLConverter().check(request_for(Stack(("int8",)), settings))


def test_dimensions_and_types_are_checked() -> None:
    request = request_for(Stack(("int8",)))
    two = TensorSpec("ids", "int64", ("batch", "frames")), TensorSpec("mask", "int64", ("batch", "sequence"))
    with pytest.raises(ExportError, match="the inputs have the dimensions frames, sequence: expected at most one"):
        CoreMLConverter().check(replace(request, inputs=two))
    with pytest.raises(ExportError, match="expected at least one for the dimension 'frames', got none"):
        CoreMLConverter().check(replace(request, inputs=two[:1], sequence_lengths=()))
    with pytest.raises(ExportError, match="tensor 'ids' is complex64"):
        CoreMLConverter().check(replace(request, inputs=(replace(two[0], dtype="complex64"),)))


def test_ios17_enumerates_one_input_only() -> None:
    request = request_for(Stack(("int8",)), {"deployment_target": "iOS17"})
    second = TensorSpec("mask", "int64", ("batch", "sequence"))
    with pytest.raises(ExportError, match="inputs ids, mask can't all have enumerated shapes before iOS18"):
        CoreMLConverter().check(replace(request, inputs=(*request.inputs, second)))


def target(name: str, version: str | None) -> Target:
    engine = EngineSpec("litert", "2.1") if version is None else EngineSpec("coreml", version)
    return Target(name, name, "aarch64", 6, (), 2**32, (engine,))


def test_plans() -> None:
    plans = CoreMLConverter().plans
    assert [(p.name, p.settings["deployment_target"]) for p in plans([])] == [("coreml", "iOS18")]
    assert plans([target("board", None)]) == ()
    both = plans([target("old", "iOS17"), target("new", "iOS18"), target("next", "iOS26.1")])
    assert [(plan.name, plan.targets) for plan in both] == [
        ("coreml", ("new", "next")),
        ("coreml-ios17", ("old",)),
    ]
    assert both[1].settings == {"deployment_target": "iOS17", "shapes": "range"}
    assert [plan.name for plan in plans([target("old", "iOS17")])] == ["coreml"]
    with pytest.raises(ExportError, match="device 'ancient' declares Core ML 'iOS15'"):
        plans([target("ancient", "iOS15")])


def test_two_levels_finds_small_multipliers_or_refuses() -> None:
    scale = (np.array([[0.5], [0.375]]) * np.array([[3, 6, 18], [1, 2, 5]])).astype(np.float32)
    channel, multiplier = two_levels(scale)
    assert np.array_equal(channel * multiplier, scale)
    assert multiplier.tolist() == [[1, 2, 6], [1, 2, 5]]
    with pytest.raises(InputError):
        two_levels(np.array([[1.0, 1.0009765625]], np.float32))


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.mlpackage").mkdir()
    with pytest.raises(ExportError, match=r"'model\.mlpackage' is not an \.mlpackage"):
        MilProgram.load(tmp_path / "model.mlpackage")
