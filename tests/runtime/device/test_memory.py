from __future__ import annotations

import subprocess
import sys

import pytest

from edgeformer_runtime import EngineError, Session
from edgeformer_runtime.bundle.manifest import VariantEntry, one_graph
from edgeformer_runtime.device import memory
from edgeformer_runtime.engines import memory_need

GIB = 1 << 30


def variant(size=10 << 20, engine="onnxruntime", form="onnx", **formats):
    return VariantEntry("v", form, engine, one_graph("variants/v/model.onnx"), size, weight_formats=formats)


def tree(tmp_path, files):
    for path, text in files.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return tmp_path


def test_weights_of_16_bits_need_more_than_their_files_twice():
    integers = memory_need(variant(engine="litert", form="tflite", int8=3))
    half = memory_need(variant(engine="litert", form="tflite", float16=3))
    assert half.load_bytes > integers.load_bytes
    assert half.held_bytes > integers.held_bytes


MEMINFO = "MemTotal:  8000000 kB\nMemFree:  100 kB\nMemAvailable:  4000000 kB\n"


def test_what_the_system_has_left(tmp_path):
    assert memory.free_bytes(tree(tmp_path, {"proc/meminfo": MEMINFO})) == 4_000_000 * 1024


def test_the_least_of_all_control_groups_counts(tmp_path):
    root = tree(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/app/worker\n",
            "sys/fs/cgroup/app/worker/memory.max": "max\n",
            "sys/fs/cgroup/app/worker/memory.current": "7\n",
            "sys/fs/cgroup/app/memory.max": "500000000\n",
            "sys/fs/cgroup/app/memory.current": "300000000\n",
            "sys/fs/cgroup/app/memory.stat": "anon 1\ninactive_file 50000000\nactive_file 9\n",
        },
    )
    assert memory.free_bytes(root) == 250_000_000


def test_control_groups_of_version_1(tmp_path):
    root = tree(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "12:cpu:/x\n5:memory:/box\nbad line\n",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "200000000\n",
            "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "250000000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
        },
    )
    assert memory.free_bytes(root) == 0


@pytest.mark.parametrize("content", ["", "garbage", "MemAvailable: lots kB"])
def test_what_is_unknown_is_none_and_refuses_nothing(tmp_path, content):
    if content == "":
        pytest.importorskip("psutil")
        assert memory.free_bytes(tmp_path) > 0  # no /proc: asked of psutil
    root = tree(tmp_path, {"proc/meminfo": content})
    if content:
        found = memory.free_bytes(root)
        assert found is None or found > 0
    memory.check("d" * 64, variant(), memory_need(variant()), None)


def test_a_variant_that_clearly_does_not_fit_is_refused_with_both_numbers():
    with pytest.raises(EngineError, match=r"'v' is estimated to take 38 MB .*30 MB are free: .*ignore_memory"):
        memory.check("d" * 64, variant(), memory_need(variant()), 30_000_000)
    memory.check("d" * 64, variant(), memory_need(variant()), 40_000_000)


def test_a_measurement_replaces_the_estimate_but_never_exceeds_it():
    digest = "d" * 64
    assert not memory.need(digest, variant(), memory_need(variant())).measured
    memory.remember(digest, variant(), 20_000_000, 15_000_000)
    assert memory.need(digest, variant(), memory_need(variant())) == memory.Need(20_000_000, 15_000_000, measured=True)
    with pytest.raises(EngineError, match="took when it was opened here before 15 MB"):
        memory.check(digest, variant(), memory_need(variant()), 14_000_000)
    memory.remember(digest, variant(), GIB, GIB)
    most = memory_need(variant())
    assert memory.need(digest, variant(), memory_need(variant())) == memory.Need(
        most.load_bytes, most.held_bytes, measured=True
    )
    assert not memory.need("e" * 64, variant(), memory_need(variant())).measured


@pytest.mark.parametrize(
    ("given", "load_mb", "held_mb"),
    # What these files took on this project's machine (x86-64, one thread, MiniLM): (size, most while loading, after).
    [
        (variant(12_800_000, int4=26, int8=13), 137, 45),
        (variant(19_600_000, int4=12, int8=27), 128, 45),
        (variant(23_100_000, int8=39), 54, 54),
        (variant(90_900_000), 140, 104),
        (variant(23_100_000, "tensorrt", "tensorrt", int8=27, int4=12), 111, 111),
        (variant(13_000_000, "litert", "tflite", int4=26), 28, 28),
        (variant(23_400_000, "litert", "tflite", int8=39), 40, 40),
    ],
)
def test_estimates_are_at_least_what_was_measured_and_at_most_three_times_it(given, load_mb, held_mb):
    found = memory_need(given)
    assert load_mb * 1e6 <= found.load_bytes <= 3 * load_mb * 1e6
    assert held_mb * 1e6 <= found.held_bytes <= 3 * held_mb * 1e6


@pytest.mark.parametrize(
    "text",
    [
        "std::bad_alloc",
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 96",
        "bfc_arena.cc:376 BFCArena::AllocateRawInternal Available memory of 5 is smaller than requested bytes of 96",
        "CUDA error: out of memory",
        "Unable to allocate 7.45 GiB for an array",
    ],
)
def test_engines_say_in_many_words_that_memory_ran_out(text):
    assert memory.is_out_of_memory(RuntimeError(text))
    assert memory.is_out_of_memory(MemoryError())
    assert not memory.is_out_of_memory(RuntimeError("invalid rank for input"))


def test_opening_refuses_what_does_not_fit_unless_told_otherwise(make_bundle, monkeypatch):
    pytest.importorskip("onnxruntime")
    path = make_bundle(variants=("onnx", "onnx2"))
    monkeypatch.setattr(memory, "free_bytes", lambda: 1000)
    with pytest.raises(EngineError, match="0 MB are free"):
        Session.open(path, variant="onnx")
    with pytest.raises(EngineError, match=r"onnx: .*are free.*onnx2: .*are free"):
        Session.open(path)
    with Session.open(path, ignore_memory=True) as session:
        assert session.predict(["good"])[0].label == "good"


PROGRAM = """
import resource, sys
import numpy as np
from edgeformer_runtime import EngineError, Session
path, rows = sys.argv[1], int(sys.argv[2])
def feeds(rows):
    return {name: np.ones((rows, 16), np.int64) for name in ("input_ids", "attention_mask")}
with Session.open(path, threads=1) as session:
    session.run(feeds(1))
    many = feeds(rows)
    for line in open("/proc/self/status"):
        if line.startswith("VmSize:"):
            size = int(line.split()[1]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size + (20 << 20), size + (20 << 20)))
    try:
        session.run(many)
    except EngineError as error:
        print("refused:", error)
    print("after:", session.run(feeds(1))["logits"].shape)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's here")
def test_a_real_lack_of_memory_names_the_shapes_and_leaves_the_session_usable(make_bundle):
    pytest.importorskip("onnxruntime")
    rows = 300_000
    command = [sys.executable, "-c", PROGRAM, str(make_bundle()), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "refused: " in done.stdout
    assert "out of memory" in done.stdout
    assert f"input_ids [{rows}, 16]" in done.stdout
    assert "after: (1, 3)" in done.stdout
