"""TensorRT's chain on an emulated Orin: its core, its device tree, ONNX Runtime's real Arm wheel; no GPU, no TensorRT.

What is seen here is that the board is recognised, that a variant for TensorRT is refused there with a reason, and that
the processor takes over and says so.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models

import edgeformer as ef
from edgeformer_devices.emulation import board, prepare
from edgeformer_devices.emulation.apt import check_host
from edgeformer_devices.remote.emulated import PYTHON, Emulated
from edgeformer_devices.remote.emulated_run import facts_of, runtime_folder
from edgeformer_devices.remote.wheels import make_site
from edgeformer_runtime.errors import EngineError

CACHE = Path(__file__).resolve().parents[2] / "build" / "emulation"
# as an Orin Nano developer kit's JetPack 6 has them: the carrier board, the module, the chip
TREE = {"compatible": b"nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0",
        "model": b"NVIDIA Jetson Orin Nano Developer Kit\0"}  # fmt: skip
CODE = """
import json, sys
import numpy as np
from edgeformer_runtime import Bundle, Session
from edgeformer_runtime.engines.gpu import find_gpu, tensorrt_version
from edgeformer_runtime.engines.tensorrt_options import Versions, make_options
path = sys.argv[1]
gpu = find_gpu()
variant = next(v for v in Bundle.open(path).manifest.variants if v.engine == "tensorrt")
options = make_options("0" * 64, variant, Versions("1.23.0", "10.3.0", gpu))
with Session.open(path, variant="tensorrt", threads=1) as session:
    chain = [session.engine, *session.skipped]
with Session.open(path, threads=1) as session:
    ids = np.arange(1, 9)[None]
    output = session.run({"input_ids": ids, "attention_mask": np.ones_like(ids)})["logits"]
    print(json.dumps({
        "gpu": [gpu.name, gpu.architecture, gpu.dla_cores], "tensorrt": tensorrt_version(), "notes": options.notes,
        "cache": options.cache.name, "chain": chain, "variant": session.variant.name, "engine": session.engine,
        "output": output.tolist(),
    }))
"""

try:
    check_host()
except EngineError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture
def orin():
    """The emulated board, whose root also holds an Orin's device tree."""
    machine = prepare(board("jetson-orin-nano"), cache=CACHE, progress=print)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".orin-") as folder:
        root = Path(folder) / "root"
        shutil.copytree(machine.root, root, symlinks=True, copy_function=os.link)
        for name, content in TREE.items():
            file = root / "proc" / "device-tree" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        yield Emulated("emulated://jetson-orin-nano", replace(machine, root=root))


def make_classifier(folder):
    """A tiny BERT with a tokenizer, saved; large weights, so that inputs count."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=16, initializer_range=0.3,
    )  # fmt: skip
    model = transformers.BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    vocabulary = {"[PAD]": 0, "[UNK]": 1, **{f"w{index}": index for index in range(2, 16)}}
    Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
    return model


def test_the_board_is_known_and_the_processor_takes_over(orin, tmp_path):
    model = make_classifier(tmp_path / "model")
    recipe = ef.Recipe.preset("float32").with_setting("export.tensorrt.dla_core=0")
    ef.compile(tmp_path / "model", output=tmp_path / "bundle", recipe=recipe, formats=["onnx", "tensorrt"],
               sequence_lengths=[8])  # fmt: skip
    site = make_site(CACHE, ["onnxruntime"], facts_of(orin), orin.address, print)
    done = orin.execute(
        [PYTHON, "-c", CODE, str(tmp_path / "bundle")],
        timeout_s=600,
        paths=[runtime_folder(CACHE), site.folder],
        variables={"EDGEFORMER_CACHE": str(tmp_path)},
    )
    assert done.status == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["gpu"] == ["NVIDIA Jetson Orin Nano Developer Kit", "sm_87", 0]
    assert found["tensorrt"] is None
    assert found["notes"] == ["DLA core 0 was asked for and not used: NVIDIA Jetson Orin Nano Developer Kit has none"]
    assert "sm_87" in found["cache"]
    assert "CPUExecutionProvider" in found["chain"][0]
    passed_over = " ".join(found["chain"][1:])
    assert "has no TensorrtExecutionProvider" in passed_over
    assert "CUDAExecutionProvider" in passed_over
    assert found["variant"] == "onnx"
    assert "CPUExecutionProvider" in found["engine"]
    with torch.no_grad():
        expected = model(input_ids=torch.arange(1, 9)[None]).logits.numpy()
    assert abs(found["output"] - expected).max() < 1e-4
