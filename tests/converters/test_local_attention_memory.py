"""16,384 tokens where memory is limited: full attention ends with our error, local attention runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgeformer_converters.onnx.export import OnnxConverter
from edgeformer_converters.ops.local_attention import LocalPattern

from .local_attention_cases import layer_of, request_for

LENGTH = 16384
# 4 heads with a weight for each pair of positions take 4.3 GB, windows of 129 about a hundredth of it
LIMIT_BYTES = 1_500_000_000
CHILD = """
import resource, sys
from pathlib import Path
import numpy as np
from edgeformer_runtime import EngineError
from edgeformer_runtime.engines.onnxruntime import ENGINE
from edgeformer_runtime.variants.execution import VariantRunner
from edgeformer_runtime.bundle.manifest import TensorSpec, VariantEntry, one_graph

path, length, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
entry = VariantEntry("v", "onnx", "onnxruntime", one_graph("model.onnx"), path.stat().st_size)
x = TensorSpec("x", "float32", ("batch", "sequence", 96))
keep = TensorSpec("keep", "float32", ("batch", "sequence"))
y = TensorSpec("y", "float32", ("batch", "sequence", 32))
runner = VariantRunner(ENGINE.load(path, entry, threads=1), entry, (x, keep), (y,))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + limit, used + limit))
def feeds(n):
    return {"x": np.random.default_rng(0).standard_normal((1, n, 96), np.float32), "keep": np.ones((1, n), np.float32)}
try:
    print("finite", bool(np.isfinite(runner.run(feeds(length))["y"]).all()))
except EngineError as error:
    print("refused", error)
    print("goes on", runner.run(feeds(64))["y"].shape)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a process is limited by RLIMIT_AS and /proc")
@pytest.mark.parametrize("full", [False, True])
def test_16384_tokens_in_limited_memory(full: bool, tmp_path: Path) -> None:
    pattern = LocalPattern(64, 64, global_tokens=(0,), dense_below=LENGTH + 1 if full else 0)
    variant = OnnxConverter().export(request_for(layer_of(pattern), "onnx", (LENGTH,), opset=21), tmp_path)
    command = [sys.executable, "-c", CHILD, str(tmp_path / variant.path), str(LENGTH), str(LIMIT_BYTES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    if full:
        refused, goes_on = done.stdout.strip().splitlines()
        assert refused.startswith("refused")
        assert "out of memory" in refused
        assert f"x [1, {LENGTH}, 96]" in refused
        assert "shorter" in refused
        assert goes_on == "goes on (1, 64, 32)"
    else:
        assert done.stdout == "finite True\n"
