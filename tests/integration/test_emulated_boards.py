"""Device wheel and engine from nothing on emulated boards: the real Arm wheels, run under QEMU, compared with x86-64.

Needs an x86-64 Linux with apt and a network; what is downloaded (about 700 MB unpacked) is kept in build/emulation.
Equal outputs are what is shown here; times of emulated programs are nobody's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import edgeformer as ef
from edgeformer.cli import main
from edgeformer_devices.emulation import board, prepare
from edgeformer_devices.emulation.apt import check_host
from edgeformer_devices.remote import Options
from edgeformer_devices.remote.emulated import PYTHON, Emulated
from edgeformer_devices.remote.emulated_run import facts_of, run_emulated, runtime_folder
from edgeformer_devices.remote.wheels import make_site
from edgeformer_runtime.errors import EngineError, TargetError

CACHE = Path(__file__).resolve().parents[2] / "build" / "emulation"
WORDS = [
    "the",
    "a",
    "good",
    "bad",
    "film",
    "book",
    "was",
    "very",
    "not",
    "and",
    "plot",
    "actor",
    "great",
    "dull",
    "fine",
    "slow",
    "fun",
    "sad",
    "true",
    "best",
]
FLOAT_DIFFERENCE = 1e-5  # of the largest output: sums in another order
INTEGER_DIFFERENCE = 0.02  # and roundings of activations that fall on the other side
TENSOR_DIFFERENCE = 0.05  # one scale a tensor, and another release of the engine on this side
TEXTS = ("the plot was not very good and the actor was dull", "a great and true film")

try:
    check_host()
except EngineError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(scope="module")
def make_bundle(tmp_path_factory):
    """make_bundle(recipe, devices, formats) -> bundle of a tiny BERT, large weights so that inputs count."""
    folder = tmp_path_factory.mktemp("emulated")
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=64, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=64, initializer_range=0.15, id2label={0: "negative", 1: "positive"},
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder / "model")
    tokenizer.save(str(folder / "model" / "tokenizer.json"))

    def make(recipe, devices, formats):
        output = folder / f"{recipe}-{len(devices)}"
        chosen = ef.Recipe.preset(recipe).with_setting("gate.min_cosine_integer_activations=0.9")
        return ef.compile(folder / "model", output=output, recipe=chosen, sequence_lengths=[32], devices=devices,
                          formats=formats)  # fmt: skip

    return make


@pytest.fixture(scope="module")
def int8(make_bundle):
    return make_bundle("int8", ["raspberry-pi-4"], ["onnx", "tflite"])


def run_on(name, bundle, python="3.11", *, benchmark=False, **options):
    machine = prepare(board(name), python=python, cache=CACHE, progress=print)
    remote = Emulated(f"emulated://{name}", machine)
    found = run_emulated(bundle, remote, Options(**options), CACHE, print, benchmark=benchmark)
    for row in found.variants:
        print(found.machine, row)
    return found


BOARDS = [("raspberry-pi-4", "3.11"), ("raspberry-pi-5", "3.13")]  # in CI; elsewhere each board with each Python
ALL_BOARDS = [*BOARDS, ("raspberry-pi-4", "3.13"), ("raspberry-pi-5", "3.11")]


@pytest.mark.parametrize(("name", "python"), BOARDS if os.environ.get("CI") else ALL_BOARDS)
def test_both_engines_compute_there_what_they_compute_here(int8, name, python):
    found = run_on(name, int8, python)
    assert [row.variant for row in found.variants if row.ran] == ["onnx", "tflite"]
    assert {row.engine.split()[0] for row in found.variants} == {"onnxruntime", "ai_edge_litert"}
    assert all(row.max_relative_difference <= INTEGER_DIFFERENCE for row in found.variants)
    assert all(row.agreement == 1.0 for row in found.variants)
    assert found.passed


def test_float32_differs_by_the_order_of_sums_only(make_bundle):
    found = run_on("raspberry-pi-5", make_bundle("float32", ["raspberry-pi-5"], ["onnx", "tflite"]), "3.13")
    assert len(found.variants) == 2
    assert all(row.max_relative_difference <= FLOAT_DIFFERENCE for row in found.variants)


def test_the_command_line_says_that_it_is_emulated_and_gives_no_latency(int8, tmp_path, monkeypatch, capsys):
    """`edgeformer bench BUNDLE --on emulated://…`, with `edgeformer-run bench` run on the board."""
    monkeypatch.setenv("EDGEFORMER_CACHE", str(tmp_path))
    (tmp_path / "edgeformer").mkdir()
    (tmp_path / "edgeformer" / "emulation").symlink_to(CACHE)
    file = tmp_path / "run.json"
    arguments = [
        "bench",
        str(int8.path),
        "--on",
        "emulated://raspberry-pi-4",
        "--variant",
        "tflite",
        "--json",
        str(file),
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "emulated cortex-a72" in printed
    assert "latency, memory, power: not reported" in printed
    found = json.loads(file.read_text())
    assert found["emulated"] is True
    assert found["latency_ms"] is None
    assert found["variants"][0]["benchmark_ran"] is True


def test_texts_are_predicted_there_as_here(int8):
    """The tokenizer's own aarch64 wheel, and the whole way from text to label."""
    machine = prepare(board("raspberry-pi-4"), cache=CACHE, progress=print)
    remote = Emulated("emulated://raspberry-pi-4", machine)
    site = make_site(CACHE, ["onnxruntime", "litert"], facts_of(remote), remote.address, print)
    paths = [runtime_folder(CACHE), site.folder]
    command = ["-m", "edgeformer_runtime", "predict", str(int8.path), *TEXTS, "--variant", "onnx", "--json"]
    done = remote.execute([PYTHON, *command], timeout_s=600, paths=paths)
    assert done.status == 0, done.stderr
    here = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
    there, expected = (json.loads(text)["results"] for text in (done.stdout, here.stdout))
    assert [item["label"] for item in there] == [item["label"] for item in expected]
    assert [item["score"] for item in there] == pytest.approx([item["score"] for item in expected], abs=1e-3)


def test_a_32_bit_pi_runs_arrays_and_says_why_it_reads_no_texts(make_bundle):
    bundle = make_bundle("int8", ["raspberry-pi-3", "raspberry-pi-4"], ["tflite"])
    found = run_on("raspberry-pi-3", bundle)
    rows = {row.variant: row for row in found.variants}
    assert rows["tflite-int8-tensor"].engine == "tflite_runtime 2.14.0 (CPU)"
    assert rows["tflite-int8-tensor"].max_relative_difference <= TENSOR_DIFFERENCE
    assert not rows["tflite"].ran
    assert "tflite_runtime" in rows["tflite"].reason
    assert any("tokenizers has no wheel" in note for note in found.missing)
    remote = Emulated("emulated://raspberry-pi-3", prepare(board("raspberry-pi-3"), cache=CACHE, progress=print))
    site = make_site(CACHE, ["tflite-runtime"], facts_of(remote), remote.address, print)
    command = [PYTHON, "-m", "edgeformer_runtime", "predict", str(bundle.path), TEXTS[0]]
    done = remote.execute(command, timeout_s=600, paths=[runtime_folder(CACHE), site.folder])
    assert done.status == 1
    assert "tokenizers" in done.stderr


def test_an_orin_is_emulated_with_its_dot_product(int8):
    machine = prepare(board("jetson-orin-nano"), cache=CACHE, progress=print)
    remote = Emulated("emulated://jetson-orin-nano", machine)
    code = (
        "from edgeformer_runtime.device.facts import probe; f = probe(); "
        "print(*f.cpu_features, open('/proc/cpuinfo').read())"
    )
    site = make_site(CACHE, ["onnxruntime", "litert"], facts_of(remote), remote.address, print)
    done = remote.execute([PYTHON, "-c", code], timeout_s=600, paths=[runtime_folder(CACHE), site.folder])
    assert b"asimddp" in done.stdout.splitlines()[0].split()
    assert b"0xd42" in done.stdout  # the part number of a Cortex-A78AE
    found = run_on("jetson-orin-nano", int8, variant="onnx")
    assert found.variants[0].max_relative_difference <= INTEGER_DIFFERENCE
    assert "GPU" in found.note


def test_a_core_that_no_qemu_knows_is_refused():
    unknown = replace(board("raspberry-pi-5"), cpu="cortex-a999")
    with pytest.raises(EngineError, match=r"no QEMU knows the core cortex-a999: asked .*trixie.*sid"):
        prepare(unknown, cache=CACHE, progress=print)


def test_a_python_that_a_board_cannot_have_is_refused():
    with pytest.raises(TargetError, match=r"Python 3.10: expected 3.11 or 3.13"):
        prepare(board("raspberry-pi-4"), python="3.10", cache=CACHE, progress=print)
