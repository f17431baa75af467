"""A bundle for a 32-bit Raspberry Pi, run by the engine that is there: tflite-runtime 2.14.0, here on x86-64.

tflite-runtime returns wrong numbers for per-channel files without an error, so the variant made for it must be right in
it, and the one that isn't made for it must not be taken.
"""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers

import edgeformer as ef
from edgeformer_converters.litert import flatbuffer
from edgeformer_runtime.files.listing import file_sha256

PROGRAM = """
import json, sys
import numpy as np
from edgeformer_runtime import EdgeformerError, Session
bundle, feeds = sys.argv[1], json.loads(sys.argv[2])
result = {}
with Session.open(bundle, threads=1) as session:
    result["auto"], result["engine"] = session.variant.name, session.engine
    result["logits"] = session.run({k: np.asarray(v) for k, v in feeds.items()})["logits"].tolist()
try:
    Session.open(bundle, variant="tflite", threads=1)
except EdgeformerError as error:
    result["refused"] = str(error)
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    torch.manual_seed(2)
    work = tmp_path_factory.mktemp("pi3")
    config = transformers.BertConfig(
        vocab_size=200, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128
    )
    transformers.BertForSequenceClassification(config).save_pretrained(work / "model")
    recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=0.9")
    return ef.compile(work / "model", output=work / "bundle", recipe=recipe, sequence_lengths=[16],
                      devices=["raspberry-pi-3", "raspberry-pi-4"], formats=["tflite"])  # fmt: skip


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment with the device wheel and tflite-runtime, as on the Pi."""
    if sys.version_info[:2] > (3, 11):
        pytest.skip("tflite-runtime has no wheel for this Python")
    from pathlib import Path

    root = Path(__file__).resolve().parents[2]
    environment = tmp_path_factory.mktemp("tflite") / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    made = environment / "bin" / "python"
    subprocess.run([made, "-m", "pip", "install", "--quiet", f"{root / 'runtime'}[tflite-runtime]"], check=True)
    return made


def test_the_pi_variant_is_right_and_the_other_is_refused(bundle, python):
    feeds = {"input_ids": [[2, 45, 99, 150, 7, 3]], "attention_mask": [[1] * 6]}
    done = subprocess.run(
        [python, "-c", PROGRAM, str(bundle.path), json.dumps(feeds)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["auto"] == "tflite-int8-tensor"
    assert "tflite_runtime 2.14.0" in found["engine"]
    assert "tflite_runtime" in found["refused"]
    model = ef.load_model(bundle.path.parent / "model")
    with torch.no_grad():
        expected = model.callable_module()(*(torch.tensor(feeds[spec.name]) for spec in model.inputs))[0].numpy()
    np.testing.assert_allclose(np.asarray(found["logits"]), expected, atol=0.05)


def test_tflite_runtime_itself_refuses_the_per_channel_file(bundle, python):
    """Its operators carry the versions that they need, so a program without Session gets an error, not numbers."""
    path = bundle.file(bundle.manifest.variant("tflite").path)
    code = "import sys; from tflite_runtime.interpreter import Interpreter; Interpreter(sys.argv[1]).allocate_tensors()"
    done = subprocess.run([python, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "version" in done.stderr


@pytest.fixture
def unguarded(bundle, tmp_path):
    """The bundle as other exporters would have written it: nothing says that tflite-runtime is too old for the file."""
    copy = tmp_path / "unguarded"
    shutil.copytree(bundle.path, copy)
    entry = bundle.manifest.variant("tflite")
    path = copy / entry.path
    model = flatbuffer.load(path)
    numbers = flatbuffer.schema().BuiltinOperator
    older = {numbers.FULLY_CONNECTED: 9, numbers.EMBEDDING_LOOKUP: 3}
    for code in model.operatorCodes:
        code.version = older.get(code.builtinCode, code.version)
    flatbuffer.save(model, path)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest.pop("checksum", None)
    for item in manifest["variants"]:
        if item["name"] == "tflite":
            item.update(engine_packages=[], min_engine_version=None, size_bytes=path.stat().st_size)
    for item in manifest["files"]:
        if item["path"] == entry.path:
            item.update(bytes=path.stat().st_size, sha256=file_sha256(path))
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


SELF_CHECK = """
import json, sys
import numpy as np
from edgeformer_runtime import EngineError, Session
bundle, feeds = sys.argv[1], {k: np.asarray(v) for k, v in json.loads(sys.argv[2]).items()}
result = {}
with Session.open(bundle, variant="tflite", threads=1, self_check="never") as session:
    result["unchecked"] = session.run(feeds)["logits"].tolist()
try:
    Session.open(bundle, variant="tflite", threads=1)
except EngineError as error:
    result["refused"] = str(error)
with Session.open(bundle, threads=1) as session:
    result["auto"], result["skipped"] = session.variant.name, session.skipped
    result["check"], result["right"] = session.self_check, session.run(feeds)["logits"].tolist()
print(json.dumps(result))
"""


def test_the_self_check_alone_catches_an_engine_that_is_silently_wrong(unguarded, python, tmp_path):
    feeds = {"input_ids": [[2, 45, 99, 150, 7, 3]], "attention_mask": [[1] * 6]}
    done = subprocess.run(
        [python, "-c", SELF_CHECK, str(unguarded), json.dumps(feeds)],
        capture_output=True, text=True, check=False, env={**os.environ, "EDGEFORMER_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    # the engine loads the file, runs it, and returns numbers that have nothing to do with the model
    assert not np.allclose(found["unchecked"], found["right"], atol=0.01)
    assert "self-check failed: this engine gives wrong results" in found["refused"]
    assert found["auto"] == "tflite-int8-tensor"
    assert any(text.startswith("tflite: ") and "self-check failed" in text for text in found["skipped"])
    assert "passed: 2 rows" in found["check"]
