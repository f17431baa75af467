from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgeformer_runtime.bundle.manifest import VariantEntry, one_graph
from edgeformer_runtime.bundle.needs import LocalAttentionNeeds
from edgeformer_runtime.engines import kernels
from edgeformer_runtime.engines.kernels import KernelChoice, choose_kernels, register

COVERED = LocalAttentionNeeds((32, 64), "float32", 1)
LIBRARY = Path("libedgeformer_kernels.so")
FUSED = ("local attention: fused",)


def variant(needs):
    return VariantEntry("v", "onnx", "onnxruntime", one_graph("m.onnx"), 1, local_attention=needs)


@pytest.fixture
def package(monkeypatch):
    """package(**changes): what ``import edgeformer_kernels`` gives."""

    def make(**changes):
        made = SimpleNamespace(
            __version__="0.1.0",
            MIN_ONNXRUNTIME="1.17",
            DTYPES=("float32", "float16"),
            MAX_HEAD_DIM=256,
            isa=lambda: "NEON",
            local_attention_version=lambda: 2,
            linear_isa=lambda: "AVX2",
            linear_version=lambda: 1,
            library_path=lambda: LIBRARY,
        )
        made.__dict__.update(changes)
        monkeypatch.setattr(kernels, "is_installed", lambda name: name == "edgeformer_kernels")
        monkeypatch.setitem(sys.modules, "edgeformer_kernels", made)

    return make


def test_everything_covered(package):
    package()
    choice = choose_kernels(variant(COVERED), "1.20.1")
    note = "local attention: fused kernel, version 1, NEON (edgeformer-kernels 0.1.0)"
    assert choice == KernelChoice(LIBRARY, "NEON", (note,))


def test_no_local_attention_says_nothing(package):
    package()
    assert choose_kernels(VariantEntry("v", "onnx", "onnxruntime", one_graph("m.onnx"), 1), "1.20.1") == KernelChoice()


def test_not_installed(monkeypatch):
    monkeypatch.setattr(kernels, "is_installed", lambda name: False)
    choice = choose_kernels(variant(COVERED), "1.20.1")
    assert choice == KernelChoice(notes=("local attention: portable body: edgeformer-kernels is not installed",))


@pytest.mark.parametrize(
    ("needs", "onnxruntime", "reason"),
    [
        (replace(COVERED, kernel_version=3), "1.20.1", "has version 2 of the kernel, the variant needs 3"),
        (replace(COVERED, kernel_version=0), "1.20.1", "needs 0"),
        (replace(COVERED, dtype="bfloat16"), "1.20.1", "covers float32 and float16, the variant has bfloat16"),
        (replace(COVERED, head_dims=(64, 320)), "1.20.1", "the variant has 320"),
        (replace(COVERED, head_dims=(0,)), "1.20.1", "the variant has 0"),
        (replace(COVERED, head_dims=()), "1.20.1", "can't tell the variant's head sizes"),
        (COVERED, "1.16.3", "needs onnxruntime 1.17 or newer, got 1.16.3"),
        (COVERED, None, "version of the one installed is unknown"),
    ],
)
def test_not_covered_is_said_with_the_reason(package, needs, onnxruntime, reason):
    package()
    choice = choose_kernels(variant(needs), onnxruntime)
    assert choice.library is None
    assert choice.isa is None
    (note,) = choice.notes
    assert note.startswith("local attention: portable body: edgeformer-kernels 0.1.0 ")
    assert reason in note


def test_a_cpu_that_is_not_covered(package):
    package(isa=lambda: None)
    assert "doesn't cover this CPU" in choose_kernels(variant(COVERED), "1.20.1").notes[0]


def test_a_package_that_does_not_load(package):
    def broken():
        raise OSError("libedgeformer_kernels.so: wrong ELF class")

    package(isa=broken)
    note = choose_kernels(variant(COVERED), "1.20.1").notes[0]
    assert note.endswith("doesn't load (OSError: libedgeformer_kernels.so: wrong ELF class)")
    package()
    del sys.modules["edgeformer_kernels"].library_path  # another package of that name
    assert "doesn't load (AttributeError" in choose_kernels(variant(COVERED), "1.20.1").notes[0]


def test_registering():
    seen = []
    choice = KernelChoice(LIBRARY, "NEON", FUSED)
    assert register(SimpleNamespace(register_custom_ops_library=seen.append), choice) == choice
    assert seen == [str(LIBRARY)]
    assert register(None, KernelChoice(notes=("portable",))) == KernelChoice(notes=("portable",))


def test_a_library_that_onnx_runtime_refuses():
    def refuse(path):
        raise RuntimeError("cannot open shared object file")

    done = register(SimpleNamespace(register_custom_ops_library=refuse), KernelChoice(LIBRARY, "NEON", FUSED))
    assert (done.library, done.isa) == (None, None)
    assert done.notes[0].endswith("ONNX Runtime refused libedgeformer_kernels.so: cannot open shared object file")


def quantized(tmp_path, *, weights="int4", functions=("QuantizedLinear4",), needs=None):
    """A variant with linear layers of that format, and a file that defines these functions."""
    onnx = pytest.importorskip("onnx")  # a workstation's: no device has it
    made = [onnx.helper.make_function("ai.edgeformer", name, ["x"], ["y"], [], []) for name in functions]
    graph = onnx.helper.make_graph([], "graph", [], [])
    onnx.save(onnx.helper.make_model(graph, functions=made), tmp_path / "m.onnx")
    return replace(variant(needs), weight_formats={weights: 3}), tmp_path / "m.onnx"


def test_four_bit_layers_alone(package, tmp_path):
    package()
    entry, path = quantized(tmp_path)
    choice = choose_kernels(entry, "1.20.1", path)
    assert (choice.library, choice.isa) == (LIBRARY, "AVX2")
    assert choice.notes == (
        "4-bit linear layers: kernel, version 1, AVX2, 8-bit activations with a scale a row (edgeformer-kernels 0.1.0)",
    )
    assert choose_kernels(entry, "1.20.1") == choice


@pytest.mark.parametrize("changes", [{"weights": "int8"}, {"weights": "int4-block32"}, {"functions": ()}])
def test_other_layers_need_no_kernel(package, tmp_path, changes):
    package()
    entry, path = quantized(tmp_path, **changes)
    assert choose_kernels(entry, "1.20.1", path) == KernelChoice()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"linear_isa": lambda: None}, "has none that is faster on this CPU"),
        ({"linear_version": lambda: 0}, "has no such kernel: pip install --upgrade edgeformer-kernels"),
    ],
)
def test_four_bit_layers_that_are_not_covered(package, tmp_path, changes, reason):
    package(**changes)
    entry, path = quantized(tmp_path)
    choice = choose_kernels(entry, "1.20.1", path)
    assert (choice.library, choice.isa) == (None, None)
    assert choice.notes[0].startswith("4-bit linear layers: portable body: edgeformer-kernels 0.1.0 ")
    assert reason in choice.notes[0]
    both, path = quantized(tmp_path, needs=COVERED)
    choice = choose_kernels(both, "1.20.1", path)  # the library is registered for local attention
    assert (choice.library, choice.isa) == (LIBRARY, "NEON")
    assert [note.split(": ")[1] for note in choice.notes] == [
        "fused kernel, version 1, NEON (edgeformer-kernels 0.1.0)",
        "portable body",
    ]


def test_local_attention_that_is_not_covered_keeps_the_library_out(package, tmp_path):
    package()
    entry, path = quantized(tmp_path, needs=replace(COVERED, head_dims=(320,)))
    choice = choose_kernels(entry, "1.20.1", path)
    assert (choice.library, choice.isa) == (None, None)
    assert ["portable body" in note and "320" in note for note in choice.notes] == [True, True]


def test_a_file_that_is_no_onnx_file_has_no_functions(package, tmp_path):
    package()
    (tmp_path / "m.onnx").write_bytes(b"\xff" * 40)
    entry = replace(variant(None), weight_formats={"int4": 1})
    assert choose_kernels(entry, "1.20.1", tmp_path / "m.onnx") == KernelChoice()
