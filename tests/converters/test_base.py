"""What each converter says of its backend: others go by it, so it must fit the runtime and the rest of the project."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from edgeformer_converters.base import (
    CONVERTERS,
    REFERENCE_FORMAT,
    ExportError,
    ExportRequest,
    VariantPlan,
    get_converter,
    made_for,
)
from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.device.target import EngineSpec, Target
from edgeformer_runtime.engines import ENGINES, declared_names
from edgeformer_runtime.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", CONVERTERS)
def test_the_facts_fit_the_registries(name):
    converter = get_converter(name)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert converter.format == name
    assert converter.engine in ENGINES
    assert converter.extra in extras
    asked = dataclasses.asdict(converter.settings())
    assert all(value is None for value in asked.values())  # nothing is asked for unless a recipe asks


@pytest.mark.parametrize("name", declared_names())
def test_every_engine_that_a_profile_may_declare_has_one_format_beside_those_on_request(name):
    target = Target("board", "A board", "aarch64", 4, (), 2**30, (EngineSpec(name, "iOS18"),))
    converters = [item for item in map(get_converter, CONVERTERS) if not item.on_request]
    assert sum(made_for(item, target) for item in converters) == 1


def test_what_stands_in_for_a_device_is_said_and_the_reference_is_the_real_engine():
    assert get_converter(REFERENCE_FORMAT).host_engine().as_on_device
    stand_ins = {name for name in CONVERTERS if not get_converter(name).host_engine().as_on_device}
    assert stand_ins == {"tensorrt", "coreml"}


def test_an_unknown_format_is_refused_with_those_that_exist():
    with pytest.raises(InputError, match=r"'mlmodel': expected one of onnx, tensorrt, tflite, coreml"):
        get_converter("mlmodel")


def test_asking_for_facts_imports_no_backend():
    packages = sorted({package for name in CONVERTERS for package in get_converter(name).packages})
    code = (
        "import sys; from edgeformer_converters.base import CONVERTERS, get_converter\n"
        "[get_converter(name).host_engine() for name in CONVERTERS]\n"
        f"print([name for name in {packages} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def request_of(*shapes, lengths=(8, 16)):
    inputs = tuple(TensorSpec(f"input_{number}", "float32", shape) for number, shape in enumerate(shapes))
    return ExportRequest(torch.nn.Identity(), inputs, inputs, (), lengths, VariantPlan("x", "x", ()))


@pytest.mark.parametrize("name", ["sequence", "frames", "seconds"])
def test_lengths_are_those_of_the_dimension_that_the_inputs_name(name):
    request = request_of(("batch", name), ("batch", 3, name))
    assert (request.length_dimension, request.lengths) == (name, (8, 16))
    assert [request.shape(spec, 8) for spec in request.inputs] == [(1, 8), (1, 3, 8)]
    with pytest.raises(ExportError, match=f"expected at least one for the dimension '{name}', got none"):
        request_of(("batch", name), lengths=()).check_lengths()


def test_images_have_no_length_whatever_lengths_are_asked_for():
    request = request_of(("batch", 3, 24, 24))
    request.check_lengths()
    assert (request.length_dimension, request.lengths) == (None, ())
    assert request.shape(request.inputs[0], None) == (1, 3, 24, 24)


def test_two_dimensions_that_vary_beside_the_batch_are_refused():
    with pytest.raises(ExportError, match="the dimensions height, width: expected at most one that varies"):
        request_of(("batch", 3, "height", "width")).check_lengths()
    with pytest.raises(ExportError, match="input 'input_0' has the dimension 'sequence' without a size"):
        request_of(("batch", "sequence")).shape(request_of(("batch", "sequence")).inputs[0], None)
