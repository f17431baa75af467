"""The public names, the layering, and what an import may cost: changing any of these is a decision."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import edgeformer
import edgeformer_runtime

ROOT = Path(__file__).resolve().parents[1]

HOST_NAMES = {
    "AdapterError", "AdapterSource", "Allocate", "EdgeformerError", "ExportSettings", "ExtendPositions", "Gate",
    "GateError", "InputError", "InputOptions", "LocalAttend", "MergeLora", "Model", "ModelError", "PruneNM",
    "PruneStructured", "PruneUnstructured", "Quantize", "Recipe", "RecipeError", "Recover", "SamplesError", "Smooth",
    "TrimVocabulary", "__version__", "compile", "from_module", "load_model",
}  # fmt: skip


def imported_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(json.loads(output))


def test_host_names():
    assert set(edgeformer.__all__) == HOST_NAMES


@pytest.mark.parametrize("name", sorted(HOST_NAMES))
def test_every_public_name_exists(name):
    assert getattr(edgeformer, name) is not None


@pytest.mark.parametrize("name", edgeformer_runtime.__all__)
def test_every_runtime_name_exists(name):
    assert getattr(edgeformer_runtime, name) is not None


def test_import_edgeformer_waits_for_no_framework():
    loaded = imported_by("import edgeformer, edgeformer.cli; edgeformer.cli.build_parser()")
    assert not loaded & {
        "torch",
        "transformers",
        "onnx",
        "onnxruntime",
        "coremltools",
        "litert_torch",
        "numpy",
    }


def test_the_runtime_knows_no_exporter():
    loaded = imported_by("import edgeformer_runtime; from edgeformer_runtime import Session, Bundle, Report")
    assert not loaded & {"torch", "transformers", "onnx", "onnxruntime", "coremltools", "edgeformer"}


def test_layers_import_one_way():
    lint_imports = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint_imports], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_no_module_is_longer_than_a_reader_can_hold():
    folders = ("edgeformer", "converters", "devices", "runtime")
    lengths = {p: len(p.read_text().splitlines()) for f in folders for p in (ROOT / f).rglob("*.py")}
    assert {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > 520} == {}
