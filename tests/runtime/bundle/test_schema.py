"""The schema says what the reader says; tests/conftest.py checks every written manifest by it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from edgeformer_runtime import Bundle, RuntimeBundleError
from edgeformer_runtime.bundle.manifest_reader import manifest_of

jsonschema = pytest.importorskip("jsonschema")
SCHEMA = json.loads((Path(__file__).parents[3] / "runtime/schema/manifest.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture
def data(make_bundle):
    with Bundle.open(make_bundle("classifier", ("onnx", "tflite"))) as bundle:
        return json.loads(bundle.file("manifest.json").read_text("utf-8"))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_what_is_written_fits(data):
    VALIDATOR.validate(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format_version=1),
        lambda d: d.update(colour="red"),
        lambda d: d.pop("signature"),
        lambda d: d["signature"]["inputs"][0].update(dtype="object"),
        lambda d: d["signature"]["inputs"][0].update(shape=["batch", 0]),
        lambda d: d["signature"].update(outputs=[]),
        lambda d: d["files"][0].update(sha256="A" * 64),
        lambda d: d["files"][0].update(bytes=-1),
        lambda d: d["variants"][0].update(name="auto"),
        lambda d: d["variants"][0].update(graphs={}),
        lambda d: d["variants"][0].update(lengths={"sequence": []}),
        lambda d: d["variants"][0].update(fixed_batch=0),
        lambda d: d["variants"][0].update(tensorrt={"dla_core": 2}),
        lambda d: d["preprocess"][0].update(takes=[]),
        lambda d: d["preprocess"][0].update(max_length=0),
        lambda d: d["task"].update(activation="relu"),
        lambda d: d["task"].update(numbers={"longest_answer": 0}),
    ],
)
def test_schema_and_reader_refuse_the_same(data, change):
    changed = copy.deepcopy(data)
    change(changed)
    assert list(VALIDATOR.iter_errors(changed))
    with pytest.raises(RuntimeBundleError):
        manifest_of(changed)
