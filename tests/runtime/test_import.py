from __future__ import annotations

import json
import subprocess
import sys

import pytest

import edgeformer_runtime

CODE = """
import json, sys
import numpy
before = set(sys.modules)
import edgeformer_runtime
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_importing_brings_nothing_but_itself():
    out = subprocess.run([sys.executable, "-c", CODE], stdout=subprocess.PIPE, check=True).stdout
    modules = json.loads(out)
    ours = {name for name in modules if name.split(".")[0] == "edgeformer_runtime"}
    assert ours == {"edgeformer_runtime", "edgeformer_runtime.version"}
    assert not {"torch", "onnx", "onnxruntime", "tokenizers", "ai_edge_litert", "psutil"} & set(modules)


def test_running_a_bundle_brings_only_its_engine(make_bundle):
    pytest.importorskip("onnxruntime")
    code = (
        "import sys; from edgeformer_runtime import Session; "
        "Session.open(sys.argv[1]).predict(['good']); "
        "print(sorted({n.split('.')[0] for n in sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code, str(make_bundle())], stdout=subprocess.PIPE, check=True)
    text = result.stdout.decode()
    assert "'onnxruntime'" in text
    for name in ("torch", "onnx", "transformers", "ai_edge_litert", "tensorflow"):
        assert f"'{name}'" not in text


def test_public_names():
    for name in edgeformer_runtime.__all__:
        assert getattr(edgeformer_runtime, name) is not None
    assert set(dir(edgeformer_runtime)) == set(edgeformer_runtime.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        edgeformer_runtime.Sesion  # noqa: B018
