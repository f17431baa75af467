"""The wheel with the native kernels, built and installed outside the checkout, is found and used by the runtime."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import edgeformer_kernels, numpy, onnx
from edgeformer_runtime.engines.onnxruntime import ENGINE
from edgeformer_runtime.bundle.manifest import VariantEntry, one_graph
from edgeformer_runtime.bundle.needs import LocalAttentionNeeds
from local_attention_model import make_model, reference

path = Path(sys.argv[2]) / "model.onnx"
onnx.save(make_model(left=2, right=2, scale=0.25, body=True), path)
entry = VariantEntry("v", "onnx", "onnxruntime", one_graph("model.onnx"), 1,
                     local_attention=LocalAttentionNeeds((16,), "float32", 1))
model = ENGINE.load(path, entry, threads=1)
arrays = numpy.random.default_rng(0).standard_normal((3, 1, 2, 40, 16)).astype(numpy.float32)
feeds = dict(zip(("query", "key", "value"), arrays)) | {"keep": numpy.ones((1, 40), numpy.float32)}
error = abs(model.run(feeds)["output"] - reference(*feeds.values(), left=2, right=2, scale=0.25)).max()
print(edgeformer_kernels.__file__, edgeformer_kernels.isa(), error, *model.delegation, sep="\\n")
"""


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if shutil.which("c++") is None:
        pytest.skip("the wheel is built with a C++ compiler, and there is no c++ on the PATH")
    work = tmp_path_factory.mktemp("kernels")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", work, ROOT / "runtime" / "kernels")
    return next(work.glob("*.whl"))


def test_it_serves_every_python_of_its_platform(wheel):
    assert wheel.name.startswith("edgeformer_kernels-")
    assert "-py3-none-" in wheel.name
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert sorted(names) == ["edgeformer_kernels/__init__.py", "edgeformer_kernels/libedgeformer_kernels.so"]
    assert wheel.stat().st_size <= 500_000


def test_the_runtime_takes_it(wheel, tmp_path):
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path / "site", wheel)
    environment = {"PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    printed = run(sys.executable, "-c", USE, ROOT / "tests" / "kernels", tmp_path, env=environment, cwd=tmp_path)
    where, isa, error, note = printed.splitlines()
    assert where.startswith(str(tmp_path / "site"))
    if isa == "None":
        assert "portable body" in note
        assert "doesn't cover this CPU" in note
        return
    assert float(error) <= 1e-5
    assert note.startswith(f"local attention: fused kernel, version 1, {isa} ")
