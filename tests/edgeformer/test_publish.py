"""What is hashed depends on inputs, recipe and seed alone."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

import edgeformer as ef
from edgeformer_runtime import Bundle

MEASURED = re.compile(r"seconds|_ms$|peak_memory|created|median|date|time", re.IGNORECASE)
SETTINGS = ("gate.min_cosine_integer_activations=0.9", "gate.max_latency_ms=10000.0")


@pytest.fixture(scope="module")
def bundle(tiny_model, tiny_adapter, reviews, tmp_path_factory):
    recipe = ef.Recipe.preset("int8")
    for setting in SETTINGS:
        recipe = recipe.with_setting(setting)
    output = tmp_path_factory.mktemp("bundles") / "tiny"
    return ef.compile(tiny_model, output=output, recipe=recipe, formats=["onnx"], sequence_lengths=[16],
                      evaluation=reviews["evaluation"], adapters=[str(tiny_adapter)])  # fmt: skip


def keys(value, path=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}.{key}"
            yield from keys(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from keys(item, path)


def test_the_manifest_holds_nothing_measured(bundle):
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    found = [key for key in keys(manifest) if MEASURED.search(key.rpartition(".")[2])]
    assert found == [".recipe.gate.max_latency_ms"]  # what was asked for


def test_the_manifest_holds_no_path_of_this_machine(bundle, tiny_model, tiny_adapter, reviews):
    text = (bundle.path / "manifest.json").read_text()
    for path in (tiny_model, tiny_adapter, reviews["evaluation"], bundle.path):
        assert str(path.parent) not in text
    assert bundle.manifest.recipe["steps"][0]["adapters"] == [{"path": "tiny-lora", "weight": 1.0}]
    report = json.loads((bundle.path / "report.json").read_text())
    assert report["recipe"]["steps"][0]["adapters"] == [{"path": str(tiny_adapter), "weight": 1.0}]


def test_reports_lie_beside_the_hashed_files(bundle):
    listed = {entry.path for entry in bundle.manifest.files}
    present = {file.relative_to(bundle.path).as_posix() for file in bundle.path.rglob("*") if file.is_file()}
    assert present - listed == {"manifest.json", "report.json", "report.html"}


@pytest.mark.slow
def test_a_changed_input_changes_the_digest(bundle, tiny_model, tmp_path):
    recipe = replace(ef.Recipe.preset("int8"), gate=ef.Gate(min_cosine_integer_activations=0.9))
    other = ef.compile(tiny_model, output=tmp_path / "o", recipe=recipe, formats=["onnx"], sequence_lengths=[16])
    assert other.digest != bundle.digest


@pytest.mark.slow
def test_two_processes_make_the_same_bytes(tiny_model, tiny_adapter, reviews, tmp_path):
    """Other folders, another name, another hash seed, another cache, nothing kept from the first run."""
    made = []
    for number in (1, 2):
        home = tmp_path / f"home{number}" / ("deep" * number)
        home.mkdir(parents=True)
        shutil.copytree(tiny_model, home / "tiny-bert")
        shutil.copytree(tiny_adapter, home / "tiny-lora")
        for name, path in reviews.items():
            shutil.copy(path, home / f"{name}.jsonl")
        words = ["compile", "tiny-bert", "-o", f"bundle-{number}", "--adapter", str(home / "tiny-lora"), "--no-resume"]
        words += ["--recipe", "balanced", "--sequence-lengths", "16", "--set", SETTINGS[0]]
        words += [item for name in ("onnx", "tflite", "coreml", "tensorrt") for item in ("--format", name)]
        words += ["--evaluation", "evaluation.jsonl", "--calibration", str(home / "calibration.jsonl")]
        environment = {**os.environ, "PYTHONHASHSEED": str(number), "EDGEFORMER_CACHE": str(home / "cache")}
        result = subprocess.run([sys.executable, "-m", "edgeformer", *words], cwd=home, env=environment,
                                capture_output=True, text=True)  # fmt: skip
        assert result.returncode == 0, result.stderr
        made.append(Bundle.open(home / f"bundle-{number}"))
    first, second = made
    assert [entry.path for entry in first.manifest.files] == [entry.path for entry in second.manifest.files]
    for entry in first.manifest.files:
        assert first.file(entry.path).read_bytes() == second.file(entry.path).read_bytes(), entry.path
    assert (first.path / "manifest.json").read_bytes() == (second.path / "manifest.json").read_bytes()
    assert first.digest == second.digest
