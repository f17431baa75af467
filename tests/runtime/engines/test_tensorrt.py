"""The chain TensorRT → CUDA → CPU against a stand-in for ONNX Runtime's provider interface: no GPU is here.

The stand-in takes providers and options as the real one does, computes on the real CPU provider, and tells the
placement as ONNX Runtime 1.23 does, in a profile.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeformer_runtime import EngineError, Session
from edgeformer_runtime.bundle.manifest import VariantEntry, one_graph
from edgeformer_runtime.bundle.needs import TensorRTNeeds
from edgeformer_runtime.engines import cuda, get_engine, onnxruntime, tensorrt
from edgeformer_runtime.engines.gpu import Gpu

real = pytest.importorskip("onnxruntime")
DATA = Path(__file__).parent.parent / "data"
TENSORRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
ROW = {"input_ids": np.full((1, 8), 4), "attention_mask": np.ones((1, 8), np.int64)}
PART = f"{TENSORRT}_TRTKernel_graph_tiny_0_0"
VARIANT = VariantEntry(
    "t", "tensorrt", "tensorrt", one_graph("variants/t/model.onnx"), 610, tensorrt=TensorRTNeeds("fp16")
)

ORIN_NANO = Gpu("Orin Nano", "sm_87", 0)


def event(name, provider, operator):
    return {"cat": "Node", "name": f"{name}_kernel_time", "args": {"provider": provider, "op_name": operator}}


class StandIn:
    """What ``import onnxruntime`` gives. ``starts``: the providers that come up; ``events``: the profile."""

    def __init__(self, starts=(TENSORRT, CUDA, CPU), events=None, error=None):
        stand_in = self
        self.__version__ = "1.23.2"
        self.SessionOptions = real.SessionOptions
        self.GraphOptimizationLevel = real.GraphOptimizationLevel
        self.asked = []

        class InferenceSession:
            def __init__(self, model, sess_options=None, providers=None, **more):
                names = [item if isinstance(item, str) else item[0] for item in providers]
                options = dict(item for item in providers if not isinstance(item, str))
                stand_in.asked.append((names, options, more))
                if error is not None and names[0] != CPU:
                    raise RuntimeError(error)
                self._names = [name for name in names if name in starts]
                self._options = sess_options
                self._inner = real.InferenceSession(model, providers=[CPU])
                if TENSORRT in self._names:
                    folder = Path(options[TENSORRT]["trt_engine_cache_path"])
                    (folder / f"{PART}_fp16.engine").write_bytes(b"an engine")

            def __getattr__(self, name):
                return getattr(self._inner, name)

            def get_providers(self):
                return self._names

            def disable_fallback(self):
                pass

            def end_profiling(self):
                path = Path(f"{self._options.profile_file_prefix}_1.json")
                found = events or [event(PART, TENSORRT, "TRTKernel"), event("Cast_1", CPU, "Cast")]
                path.write_text(json.dumps(found))
                return str(path)

        self.InferenceSession = InferenceSession

    def get_available_providers(self):
        return [TENSORRT, CUDA, CPU]


@pytest.fixture
def machine(monkeypatch):
    """machine(stand_in, gpu=...): ONNX Runtime and the GPU of this machine."""

    def make(stand_in, gpu=ORIN_NANO, trt="10.3.0"):
        monkeypatch.setattr(onnxruntime, "import_package", lambda name: stand_in)
        monkeypatch.setattr(onnxruntime, "is_installed", lambda name: name == "onnxruntime")
        for module in (cuda, tensorrt):
            monkeypatch.setattr(module, "find_gpu", lambda: gpu)
        monkeypatch.setattr(tensorrt, "tensorrt_version", lambda: trt)
        return stand_in

    return make


def load(engine, said=None):
    return get_engine(engine).load(DATA / "classifier.onnx", VARIANT, 1, said.append if said is not None else print)


def test_a_build_is_announced_timed_and_the_next_time_from_the_cache(machine):
    stand_in = machine(StandIn())
    said = []
    model = load("tensorrt", said)
    assert "minutes" in said[0]
    assert "next time it comes from" in said[0]
    assert "was built" in said[1]
    assert "kept for the next time" in model.delegation[0]
    np.testing.assert_allclose(model.run(ROW)["logits"], [[0, 6, 0]], atol=1e-6)
    names, options, more = stand_in.asked[0]
    assert names == [TENSORRT, CUDA, CPU]
    assert options[TENSORRT]["trt_fp16_enable"] == "1"
    assert "sm_87" in options[TENSORRT]["trt_engine_cache_path"]
    assert more == {"enable_fallback": 0}
    said.clear()
    again = load("tensorrt", said)
    assert said == []
    assert "came from the cache" in again.delegation[0]


def test_what_fell_back_is_counted_and_named(machine):
    machine(StandIn())
    notes = load("tensorrt", []).delegation
    assert notes[1:] == (
        f"{TENSORRT} runs 1 compiled part of a file of 7 nodes",
        f"1 node fell back to {CPU}: Cast_1 (Cast)",
    )


def test_a_cache_that_cannot_be_written_is_said(machine, monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("EDGEFORMER_CACHE", str(blocked))
    machine(StandIn(starts=(CUDA, CPU)))
    said = []
    with pytest.raises(EngineError, match="did not start"):
        load("tensorrt", said)
    assert "it can't be kept in" in said[0]


@pytest.mark.parametrize(
    ("stand_in", "message"),
    [
        (StandIn(starts=(CUDA, CPU)), "did not start, ONNX Runtime took CUDAExecutionProvider"),
        (StandIn(error="no kernel image"), r"model.onnx was refused by .*no kernel image"),
        (StandIn(error="Failed to allocate memory for requested buffer of size 9"), "out of memory in"),
        (StandIn(events=[event("Cast_1", CPU, "Cast")]), "took no node"),
    ],
)
def test_a_tensorrt_that_does_nothing_is_an_error(machine, stand_in, message):
    machine(stand_in)
    with pytest.raises(EngineError, match=message):
        load("tensorrt", [])


def test_cuda_runs_what_tensorrt_cannot(machine):
    events = [event("Gather_0", CUDA, "Gather"), event("Cast_1", CPU, "Cast")]
    machine(StandIn(starts=(CUDA, CPU), events=events))
    model = load("cuda", [])
    assert CUDA in model.label
    assert model.delegation[0] == f"{CUDA} runs 1 node of a file of 7 nodes"
    assert "fell back to CPUExecutionProvider: Cast_1" in model.delegation[1]


def test_without_a_gpu_neither_is_usable(machine):
    machine(StandIn(), gpu=None)
    for name in ("tensorrt", "cuda"):
        assert "no NVIDIA GPU was found" in get_engine(name).availability(VARIANT).reason


def test_an_old_tensorrt_is_named(machine):
    machine(StandIn(), trt="8.5.2")
    newer = VariantEntry("t", "tensorrt", "tensorrt", one_graph("m.onnx"), 1, min_engine_version="10.3")
    assert "needs TensorRT 10.3 or newer, got 8.5.2" in get_engine("tensorrt").availability(newer).reason


def test_gpu_and_tensorrt_are_part_of_what_a_choice_depends_on(machine):
    machine(StandIn())
    assert get_engine("tensorrt").availability(VARIANT).detail == "TensorRT 10.3.0, Orin Nano, sm_87"
    assert get_engine("cuda").availability(VARIANT).detail == "Orin Nano, sm_87"


# ---- the chain, through a session ----


def test_a_session_takes_tensorrt_where_it_is(machine, make_bundle):
    machine(StandIn())
    with Session.open(make_bundle(variants=("tensorrt",)), say=lambda text: None) as session:
        assert TENSORRT in session.engine
        assert session.skipped == ()
        assert session.predict(["good"])[0].label == "good"


def test_a_session_falls_back_to_cuda_and_says_why(machine, make_bundle):
    events = [event("Gather_0", CUDA, "Gather")]
    machine(StandIn(starts=(CUDA, CPU), events=events))
    with Session.open(make_bundle(variants=("tensorrt",)), say=lambda text: None) as session:
        assert CUDA in session.engine
        assert len(session.skipped) == 1
        assert "not on tensorrt" in session.skipped[0]
        assert "did not start" in session.skipped[0]
        assert session.skipped[0].endswith("runs on cuda instead")


def test_a_session_falls_back_to_the_cpu_and_names_both(machine, make_bundle):
    machine(StandIn(), gpu=None)
    with Session.open(make_bundle(variants=("tensorrt",))) as session:
        assert CPU in session.engine
        assert ["tensorrt" in text.split(":")[1] for text in session.skipped] == [True, False]
        assert "not on cuda: no NVIDIA GPU" in session.skipped[1]


def test_the_cpu_is_left_to_a_variant_made_for_it(machine, make_bundle):
    stand_in = machine(StandIn(), gpu=None)
    with Session.open(make_bundle(variants=("tensorrt", "onnx"))) as session:
        assert session.variant.name == "onnx"
        assert "no NVIDIA GPU was found" in session.skipped[0]
        assert "on the CPU, slowly" in session.skipped[0]
    assert len(stand_in.asked) == 1  # the other one was never loaded


def test_an_engine_that_was_asked_for_is_used_or_refused(machine, make_bundle):
    machine(StandIn(starts=(CUDA, CPU), events=[event("Gather_0", CUDA, "Gather")]))
    path = make_bundle(variants=("tensorrt", "onnx"))
    with Session.open(path, variant="onnx", engine="cuda") as session:
        assert CUDA in session.engine
    with pytest.raises(EngineError, match="did not start"):
        Session.open(path, variant="tensorrt", engine="tensorrt", say=lambda text: None)
    with pytest.raises(EngineError, match="litert was asked for"):
        Session.open(path, engine="litert")
