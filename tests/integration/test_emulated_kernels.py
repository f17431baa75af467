"""The native kernels' aarch64 wheel in the emulated ONNX Runtime: local attention with it and without."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
import transformers

import edgeformer as ef
from edgeformer_devices.emulation import board, prepare
from edgeformer_devices.emulation.apt import check_host
from edgeformer_devices.emulation.store import kept, key
from edgeformer_devices.remote.emulated import Emulated
from edgeformer_devices.remote.emulated_run import compare, facts_of, outputs_there, runtime_folder
from edgeformer_devices.remote.wheels import make_site
from edgeformer_runtime.errors import EngineError

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "emulation"
KERNELS = ROOT / "runtime" / "kernels"
TOOLS = ("ziglang==0.15.1", "scikit-build-core", "build", "wheel", "cmake", "ninja")
MAX_DIFFERENCE = 1e-5  # of the largest output, float32

try:
    check_host()
except EngineError as error:
    pytest.skip(str(error), allow_module_level=True)


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def kernels():
    """The unpacked wheel, cross-compiled by Zig; made again when a source changes."""
    sources = [path for path in sorted(KERNELS.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]

    def make_tools(into):
        run(sys.executable, "-m", "venv", into)
        run(into / "bin" / "python", "-m", "pip", "install", "-q", *TOOLS)

    def make(into):
        tools = CACHE.resolve() / f"kernel-tools-{key(TOOLS, sys.version)}"
        if not tools.is_dir():  # a virtual environment doesn't survive being renamed
            make_tools(tools)
        run(tools / "bin" / "python", KERNELS / "build_wheels.py", into / "dist", "aarch64")
        (wheel,) = (into / "dist").glob("*aarch64.whl")
        zipfile.ZipFile(wheel).extractall(into)

    return kept(CACHE, f"kernels-{key([[str(path), path.read_bytes().hex()] for path in sources])}", make)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A tiny BERT whose queries see 4 neighbours on each side and the first token."""
    folder = tmp_path_factory.mktemp("local")
    torch.manual_seed(4)
    config = transformers.BertConfig(
        vocab_size=64, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=128, initializer_range=0.2,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder / "model")
    recipe = folder / "recipe.toml"
    recipe.write_text(
        'version = 1\n[[steps]]\npass = "local_attention"\nradius = 4\nglobal_tokens = [0]\ndense_below = 0\n'
    )
    return ef.compile(folder / "model", output=folder / "bundle", recipe=str(recipe), formats=["onnx"])


@pytest.mark.parametrize("name", ["raspberry-pi-4", "raspberry-pi-5"])
def test_kernel_and_body_agree_with_each_other_and_with_x86(bundle, kernels, name):
    remote = Emulated(f"emulated://{name}", prepare(board(name), cache=CACHE, progress=print))
    site = make_site(CACHE, ["onnxruntime"], facts_of(remote), remote.address, print)
    generator = torch.Generator().manual_seed(0)
    feeds = []
    for length in (5, 40, 100):
        ids = torch.randint(4, 64, (1, length), generator=generator)
        mask = torch.ones_like(ids)
        mask[:, length - length // 4 :] = 0
        feeds.append({"input_ids": ids.tolist(), "attention_mask": mask.tolist()})
    request = {"bundle": str(bundle.path), "variants": ["onnx"], "threads": 1, "feeds": feeds}
    plain = [runtime_folder(CACHE), site.folder]
    body = outputs_there(remote, request, plain)["onnx"]
    kernel = outputs_there(remote, request, [kernels, *plain])["onnx"]
    print(name, kernel["engine"], kernel["delegation"], body["delegation"])
    assert "NEON kernels" in kernel["engine"]
    assert any("fused kernel, version 1, NEON" in note for note in kernel["delegation"])
    assert any("portable body" in note for note in body["delegation"])
    for mine, other in ((kernel, body), (kernel, outputs_on_x86(request)), (body, outputs_on_x86(request))):
        row = compare("onnx", mine, other)
        assert row.max_relative_difference <= MAX_DIFFERENCE
        assert row.cosine_min > 0.999999


def outputs_on_x86(request):
    from edgeformer_devices.remote.emulated_run import outputs_here

    return outputs_here(request)["onnx"]
