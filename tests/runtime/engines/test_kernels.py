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
    assert choice == KernelChoice(LIBRARY, "NEON", note)


def test_no_local_attention_says_nothing(package):
    package()
    assert choose_kernels(VariantEntry("v", "onnx", "onnxruntime", one_graph("m.onnx"), 1), "1.20.1") == KernelChoice()


def test_not_installed(monkeypatch):
    monkeypatch.setattr(kernels, "is_installed", lambda name: False)
    choice = choose_kernels(variant(COVERED), "1.20.1")
    assert choice == KernelChoice(note="local attention: portable body: edgeformer-kernels is not installed")


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
    assert choice.note.startswith("local attention: portable body: edgeformer-kernels 0.1.0 ")
    assert reason in choice.note


def test_a_cpu_that_is_not_covered(package):
    package(isa=lambda: None)
    assert "doesn't cover this CPU" in choose_kernels(variant(COVERED), "1.20.1").note


def test_a_package_that_does_not_load(package):
    def broken():
        raise OSError("libedgeformer_kernels.so: wrong ELF class")

    package(isa=broken)
    note = choose_kernels(variant(COVERED), "1.20.1").note
    assert note.endswith("doesn't load (OSError: libedgeformer_kernels.so: wrong ELF class)")
    package()
    del sys.modules["edgeformer_kernels"].library_path  # another package of that name
    assert "doesn't load (AttributeError" in choose_kernels(variant(COVERED), "1.20.1").note


def test_registering():
    seen = []
    choice = KernelChoice(LIBRARY, "NEON", "fused")
    assert register(SimpleNamespace(register_custom_ops_library=seen.append), choice) == choice
    assert seen == [str(LIBRARY)]
    assert register(None, KernelChoice(note="portable")) == KernelChoice(note="portable")


def test_a_library_that_onnx_runtime_refuses():
    def refuse(path):
        raise RuntimeError("cannot open shared object file")

    done = register(SimpleNamespace(register_custom_ops_library=refuse), KernelChoice(LIBRARY, "NEON", "fused"))
    assert (done.library, done.isa) == (None, None)
    assert done.note.endswith("ONNX Runtime refused libedgeformer_kernels.so: cannot open shared object file")
