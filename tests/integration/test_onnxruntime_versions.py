"""One model with local attention in ONNX Runtimes of several years: by its portable body, and by the kernel."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgeformer_converters.onnx import functions

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kernels"))
from conftest import cmake_build
from local_attention_model import reference

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("1.17.3", "1.20.1", "1.23.2")
DENSE_BELOW = 40
PATTERN = {"left": 5, "right": 3, "dilation": 1, "causal": 0, "global_tokens": (0, 7), "scale": 0.25}
CHILD = """
import json, sys
import numpy as np
import onnxruntime
model, feeds, output, library = sys.argv[1:5]
arrays = np.load(feeds)
found = {}
for name, path in (("body", ""), ("kernel", library)):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.optimized_model_filepath = output + "." + name + ".onnx"
    options.log_severity_level = 3
    if path:
        options.register_custom_ops_library(path)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for length in (30, 100):
        inputs = {item.name: arrays[item.name + str(length)] for item in session.get_inputs()}
        found[name + str(length)] = session.run(None, inputs)[0]
np.savez(output, **found)
print(json.dumps(onnxruntime.__version__))
"""


@pytest.fixture(scope="module")
def library():
    build = ROOT / "build" / "kernels"
    cmake_build(build)
    return build / "libedgeformer_kernels.so"


def installed(version: str) -> Path:
    """A folder that holds that ONNX Runtime and the numpy that it was made for."""
    folder = ROOT / "build" / "onnxruntime" / f"{version}-py{sys.version_info[0]}{sys.version_info[1]}"
    if not (folder / ".installed").exists():
        numpy = "numpy<2" if version == "1.17.3" else "numpy<2.4"
        wanted = [f"onnxruntime=={version}", numpy]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"onnxruntime {version} can't be installed here: {done.stderr.strip().splitlines()[-1]}")
        (folder / ".installed").touch()
    return folder


def save_model(path: Path) -> None:
    """One node that chooses by length, with its definitions."""
    names = ["query", "key", "value", "keep"]
    shapes = [["b", 4, "s", 16], ["b", 2, "s", 16], ["b", 2, "s", 16], ["b", "s"]]
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(names, shapes, strict=True)]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, shapes[0])
    settings = {**PATTERN, "full_below": 0, "dense_below": DENSE_BELOW}
    node = helper.make_node(functions.BY_LENGTH, names, ["output"], domain=functions.DOMAIN, **settings)
    features = functions.Features(global_tokens=True, shared_keys=True)
    model = helper.make_model(
        helper.make_graph([node], "one", tensors, [output]),
        functions=functions.definitions(features, 18, by_length=True),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(functions.DOMAIN, 1)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)


def inputs() -> dict[str, np.ndarray]:
    """For 30 and 100 positions; the second text of each is padded from position 20 on."""
    rng = np.random.default_rng(0)
    arrays = {}
    for length in (30, 100):
        for name, heads in (("query", 4), ("key", 2), ("value", 2)):
            arrays[f"{name}{length}"] = rng.standard_normal((2, heads, length, 16), dtype=np.float32)
        keep = np.ones((2, length), np.float32)
        keep[1, 20:] = 0
        arrays[f"keep{length}"] = keep
    return arrays


@pytest.mark.parametrize("version", VERSIONS)
def test_body_and_kernel_are_exact(version, library, tmp_path):
    folder, arrays = installed(version), inputs()
    save_model(tmp_path / "model.onnx")
    np.savez(tmp_path / "feeds.npz", **arrays)
    paths = [tmp_path / "model.onnx", tmp_path / "feeds.npz", tmp_path / "out.npz", library]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, paths)],
        env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == version
    with np.load(tmp_path / "out.npz") as found:
        for length in (30, 100):
            feeds = [arrays[f"{name}{length}"] for name in ("query", "key", "value", "keep")]
            window = {"left": length, "right": length, "scale": 0.25} if length < DENSE_BELOW else PATTERN
            expected = reference(*feeds, **window)
            for name in ("body", "kernel"):
                np.testing.assert_allclose(found[f"{name}{length}"], expected, atol=1e-5)
    # the graph that each session ran says which of the two it was
    for name, calls in (("body", 0), ("kernel", 1)):
        optimized = onnx.load(tmp_path / f"out.npz.{name}.onnx")
        assert sum(node.op_type == functions.NAME for node in all_nodes(optimized.graph)) == calls


def all_nodes(graph: onnx.GraphProto):
    """The nodes of a graph and of those inside its nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from all_nodes(attribute.g)
