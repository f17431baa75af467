from __future__ import annotations

import dataclasses

import pytest

from edgeformer_runtime import Bundle, EngineError, Session
from edgeformer_runtime.engines import onnxruntime
from edgeformer_runtime.engines.kernels import KernelChoice
from edgeformer_runtime.errors import InputError
from edgeformer_runtime.variants import selection

pytest.importorskip("onnxruntime")


@pytest.fixture
def measured(monkeypatch):
    """How often a choice was measured."""
    count = []
    rank = selection._rank
    monkeypatch.setattr(selection, "_rank", lambda bundle, loaded: count.append(1) or rank(bundle, loaded))
    return count


def test_a_choice_is_remembered_for_one_number_of_threads(make_bundle, measured):
    path = make_bundle(variants=("onnx", "onnx2"))
    for threads, expected in ((1, 1), (1, 1), (2, 2), (2, 2), (1, 2)):
        Session.open(path, threads=threads).close()
        assert len(measured) == expected


def test_a_choice_is_measured_again_when_the_kernels_change(make_bundle, measured, monkeypatch):
    path = make_bundle(variants=("onnx", "onnx2"))
    notes = [
        "local attention: portable body: edgeformer-kernels is not installed",
        "local attention: fused kernel, version 1, AVX2 (edgeformer-kernels 0.1.0)",
        "local attention: fused kernel, version 2, AVX2 (edgeformer-kernels 0.2.0)",
        "local attention: fused kernel, version 2, AVX512 (edgeformer-kernels 0.2.0)",
    ]
    for index, note in enumerate(notes):
        choice = KernelChoice(notes=(note,))
        monkeypatch.setattr(onnxruntime, "choose_kernels", lambda variant, version, path=None, choice=choice: choice)
        for _ in range(2):
            Session.open(path, threads=1).close()
        assert len(measured) == index + 1


def test_a_remembered_variant_that_fails_now_is_measured_again(make_bundle, measured, monkeypatch):
    path = make_bundle(variants=("onnx", "onnx2"))
    with Session.open(path, threads=1) as session:
        first = session.variant.name
    load_on = selection._load_on

    def failing(bundle, candidate, threads, options):
        if candidate.variant.name == first:
            raise EngineError("broken since")
        return load_on(bundle, candidate, threads, options)

    monkeypatch.setattr(selection, "_load_on", failing)
    with Session.open(path, threads=1) as session:
        assert session.variant.name != first
        assert any("broken since" in text for text in session.skipped)


def test_a_candidate_keeps_its_engine_and_reasons(make_bundle):
    with Bundle.open(make_bundle(variants=("onnx", "coreml", "tensorrt"))) as bundle:
        onnx, coreml, tensorrt = selection.candidates(bundle)
    assert (onnx.availability.engine, onnx.passed_over, onnx.is_last_resort) == ("onnxruntime", (), False)
    assert not coreml.availability.usable
    assert (tensorrt.availability.engine, tensorrt.is_last_resort) == ("onnxruntime", True)
    assert [text.split(":")[0] for text in tensorrt.passed_over] == ["tensorrt", "cuda"]


def test_a_reason_that_all_engines_share_is_said_once(make_bundle, monkeypatch):
    monkeypatch.setattr(onnxruntime, "is_installed", lambda name: False)
    with Bundle.open(make_bundle(variants=("tensorrt",))) as bundle:
        (found,) = selection.candidates(bundle)
    assert found.availability.reason.count("is not installed") == 1


@pytest.mark.parametrize("wrong", [{"engine": "openvino"}, {"self_check": "yes"}])
def test_options_that_make_no_sense(wrong):
    with pytest.raises(InputError, match="expected"):
        dataclasses.replace(selection.LoadOptions(), **wrong)
