from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgeformer_runtime.bundle.manifest import VariantEntry, one_graph
from edgeformer_runtime.engines import ENGINES, chain, coreml, declared_names, get_engine, litert, packages
from edgeformer_runtime.errors import EngineError

DATA = Path(__file__).parent.parent / "data"
ONNX = VariantEntry("v", "onnx", "onnxruntime", one_graph("classifier.onnx"), 1)
TFLITE = VariantEntry("v", "tflite", "litert", one_graph("classifier.tflite"), 1, {"sequence": (8, 16)}, 1)
ROW = {"input_ids": np.full((1, 8), 4), "attention_mask": np.ones((1, 8), np.int64)}


@pytest.fixture(params=["onnxruntime", "litert"])
def case(request):
    """(engine, variant, path) of an engine that is installed here."""
    variant = ONNX if request.param == "onnxruntime" else TFLITE
    engine = get_engine(request.param)
    found = engine.availability(variant)
    if not found.usable:
        pytest.skip(found.reason)
    return engine, variant, DATA / variant.path


@pytest.fixture
def fake_tflite_runtime(monkeypatch, tmp_path):
    """fake_tflite_runtime(source): a package of that name with that text, gone after the test."""

    def make(source):
        (tmp_path / "tflite_runtime").mkdir()
        (tmp_path / "tflite_runtime" / "__init__.py").write_text(source)
        (tmp_path / "tflite_runtime" / "interpreter.py").write_text("class Interpreter: pass")
        monkeypatch.syspath_prepend(str(tmp_path))

    real = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "tflite_runtime"}
    for name in real:
        del sys.modules[name]
    yield make
    for name in [name for name in sys.modules if name.split(".")[0] == "tflite_runtime"]:
        del sys.modules[name]
    sys.modules.update(real)


def test_every_engine_answers_without_raising():
    for name in ENGINES:
        found = get_engine(name).availability(ONNX)
        assert found.usable == (found.reason is None)
    with pytest.raises(EngineError, match="onnxruntime, cuda, tensorrt, litert, coreml"):
        get_engine("openvino")


def test_load_run_close(case):
    engine, variant, path = case
    model = engine.load(path, variant, threads=1)
    result = model.run(ROW)
    np.testing.assert_allclose(result["logits"], [[0, 6, 0]], atol=1e-6)
    assert engine.availability(variant).version in model.label
    model.close()
    model.close()
    with pytest.raises(EngineError, match="closed"):
        model.run(ROW)


def test_a_file_that_is_no_model(case, tmp_path):
    engine, variant, path = case
    damaged = tmp_path / path.name
    # The bundle's hashes refuse a truncated file before an engine sees it. LiteRT 2.1 would crash on one.
    truncated = [path.read_bytes()[:100]] if engine.name == "onnxruntime" else []
    for content in (b"", b"not a model", *truncated):
        damaged.write_bytes(content)
        with pytest.raises(EngineError, match="can't load"):
            engine.load(damaged, variant, threads=1)


def test_versions_and_packages_are_obeyed(case):
    engine, variant, path = case
    newer = dataclasses.replace(variant, min_engine_version="999.0")
    found = engine.availability(newer)
    assert not found.usable
    assert "999.0 or newer, got" in found.reason
    with pytest.raises(EngineError, match=r"999\.0"):
        engine.load(path, newer, threads=1)
    other = dataclasses.replace(variant, engine_packages=("something_else",))
    assert (
        "right results only" in engine.availability(other).reason
        or "wrong results" in engine.availability(other).reason
    )
    assert engine.availability(dataclasses.replace(variant, min_engine_version="0.1")).usable


def test_a_failing_inference_is_an_engine_error(case):
    engine, variant, path = case
    model = engine.load(path, variant, threads=1)
    with pytest.raises(EngineError):
        model.run({**ROW, "input_ids": np.full((1, 8, 2), 4)})
    model.close()


@pytest.mark.parametrize("name", ["onnxruntime", "litert"])
def test_a_missing_package_is_named_with_its_extra(name, monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda package: None)
    found = get_engine(name).availability(ONNX)
    assert not found.usable
    assert f"pip install 'edgeformer-runtime[{name}]'" in found.reason


def test_a_package_that_fails_to_import_is_a_reason(fake_tflite_runtime):
    fake_tflite_runtime("raise AttributeError('built for numpy 1')")
    found = get_engine("litert").availability(dataclasses.replace(TFLITE, engine_packages=("tflite_runtime",)))
    assert not found.usable
    assert "built for numpy 1" in found.reason


def test_a_wrong_package_that_is_installed_is_not_used(fake_tflite_runtime):
    fake_tflite_runtime("__version__ = '2.14.0'")
    found = get_engine("litert").availability(
        dataclasses.replace(TFLITE, engine_packages=("ai_edge_litert",), min_engine_version="999")
    )
    assert "tflite_runtime is installed, and gives wrong results" in found.reason


def test_an_installed_tflite_runtime_is_taken_where_the_variant_allows_it(fake_tflite_runtime):
    fake_tflite_runtime("__version__ = '2.14.0'")
    allowed = dataclasses.replace(TFLITE, engine_packages=("tflite_runtime",))
    found = get_engine("litert").availability(allowed)
    assert (found.usable, found.package, found.version) == (True, "tflite_runtime", "2.14.0")


def test_litert_names_the_signatures_that_it_has():
    engine = get_engine("litert")
    if not engine.availability(TFLITE).usable:
        pytest.skip(engine.availability(TFLITE).reason)
    model = engine.load(DATA / TFLITE.path, TFLITE, threads=1)
    with pytest.raises(EngineError, match=r"seq8.*seq16"):
        model.run({name: array[:, :5] for name, array in ROW.items()})
    with pytest.raises(EngineError, match="don't fit"):
        model.run({**ROW, "input_ids": np.full((1, 8), 2**40)})
    model.close()


def test_litert_packages_that_do_not_tell_or_have_no_xnnpack():
    assert "doesn't tell" in litert._delegation(object())[0]
    plain = SimpleNamespace(_get_ops_details=lambda: [{"op_name": "CAST"}])
    assert "took no operator" in litert._delegation(plain)[0]


def test_litert_says_whether_xnnpack_was_used():
    engine = get_engine("litert")
    if not engine.availability(TFLITE).usable:
        pytest.skip(engine.availability(TFLITE).reason)
    model = engine.load(DATA / TFLITE.path, TFLITE, threads=1)
    model.run(ROW)
    assert model.delegation == ("XNNPACK took operators of this model",)
    model.close()


def test_external_tensors_are_refused_before_the_engine():
    pytest.importorskip("onnxruntime")
    with pytest.raises(EngineError, match="tensors in other files"):
        get_engine("onnxruntime").load(DATA / "external.onnx", ONNX, threads=1)


def test_an_unused_input_is_no_error():
    pytest.importorskip("onnxruntime")
    model = get_engine("onnxruntime").load(DATA / "tokens.onnx", ONNX, threads=1)
    assert model.run(ROW)["logits"].shape == (1, 8, 3)


def test_a_tensorrt_variant_is_verified_on_the_cpu_whatever_tensorrt_it_needs():
    pytest.importorskip("onnxruntime")
    variant = dataclasses.replace(ONNX, engine="tensorrt", min_engine_version="10.3")
    get_engine("onnxruntime").load(DATA / "classifier.onnx", variant, threads=1).close()


def test_tensorrt_never_falls_back_to_the_cpu():
    engine = get_engine("tensorrt")
    found = engine.availability(ONNX)
    if found.usable:
        pytest.skip("this machine has TensorRT")
    assert "TensorrtExecutionProvider" in found.reason or "not installed" in found.reason
    with pytest.raises(EngineError):
        engine.load(DATA / "classifier.onnx", ONNX, threads=1)


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML may exist here")
def test_coreml_elsewhere_than_on_macos():
    found = get_engine("coreml").availability(ONNX)
    assert f"this is {sys.platform}" in found.reason
    with pytest.raises(EngineError, match="Apple"):
        get_engine("coreml").load(DATA / "classifier.onnx", ONNX, threads=1)


def test_coreml_deployment_targets():
    problem = coreml._system_problem
    assert problem(None, "12.0") is None
    assert problem("iOS18", "15.1") is None
    assert "macOS 15 or newer, got macOS 14.7" in problem("iOS18", "14.7")
    assert "macOS 26" in problem("iOS26", "15.0")


def test_versions_compare_as_numbers():
    assert packages.version_tuple("1.16.0+nv24.1") == (1, 16, 0)
    assert packages.version_tuple("1.9") < packages.version_tuple("1.10.0")
    assert packages.version_tuple("unknown") == ()
    assert "unknown" in packages.version_problem("x", None, "1.0")


def test_engines_that_stand_behind_another_exist_and_each_name_is_declared_once():
    for name, facts in ENGINES.items():
        assert chain(name)[0] == name
        assert set(chain(name)) | set(facts.on_request) <= set(ENGINES)
        assert all(facts.extra_on(machine) in (None, *facts.extras) for machine in ("x86_64", "aarch64", "armv7l"))
    assert chain("of a later release") == ("of a later release",)
    assert len(set(declared_names())) == len(declared_names())


def test_every_extra_of_an_engine_is_one_of_the_device_wheel():
    tomllib = pytest.importorskip("tomllib")
    wheel = Path(__file__).parents[3] / "runtime" / "pyproject.toml"
    if not wheel.is_file():
        pytest.skip("run away from the checkout, as each Python's own tests are")
    extras = tomllib.loads(wheel.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {extra for facts in ENGINES.values() for extra in facts.extras} <= set(extras)
