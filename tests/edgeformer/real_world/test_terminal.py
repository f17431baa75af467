"""Only our lines on the terminal, whatever the libraries of a compile write, in whichever way they write it."""

import json
import os
import re
import subprocess
import sys

import kit
import pytest

from edgeformer.terminal.table import bundle_table
from edgeformer_runtime import Bundle

OUR_PROGRESS = re.compile(r"\[ *\d+\.\d s\] \S.*")
FORMATS = ("onnx", "tensorrt", "tflite", "coreml")
# Written when the library named first is imported, as the libraries themselves do it on machines that this one isn't.
CHATTER = {
    "onnxruntime": (
        "os.write(2, line)",
        "[W:onnxruntime:Default, device_discovery.cc:164] GPU device discovery failed",
    ),
    "torch.onnx": ("warnings.warn(text)", "TracerWarning: Converting a tensor to a Python boolean might be incorrect"),
    "coremltools": ("logging.warning(text)", "Torch version 2.13.0+cpu has not been tested with coremltools."),
    "onnxscript": ("c_stderr(line)", "Warning: The shape inference of prim::Constant type is missing"),
    "torch.nn": ("c_stderr(line)", "[W NNPACK.cpp:80] Could not initialize NNPACK! Reason: Unsupported hardware."),
    "tokenizers": ("print(text)", "huggingface/tokenizers: The current process just got forked, after parallelism"),
}
SITE = """
import ctypes, logging, os, sys, warnings
CHATTER = {chatter!r}
def c_stderr(line):
    ctypes.CDLL(None).dprintf(2, b"%s", line)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in CHATTER:
            how, text = CHATTER.pop(name)
            exec(how, globals(), {{"text": text, "line": text.encode() + b"\\n"}})
            with open(os.environ["CHATTER_WRITTEN"], "a") as file:
                print(text, file=file)
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """run(*words) -> a command in a fresh process whose libraries write as those of CHATTER do; what they wrote."""
    site, written = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("written") / "lines"
    (site / "sitecustomize.py").write_text(SITE.format(chatter=CHATTER))
    unset = ("PYTHONPATH", "TRANSFORMERS_VERBOSITY", "HF_HUB_OFFLINE", "PYTHONWARNINGS")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment["CHATTER_WRITTEN"] = str(written)
    environment["PYTHONPATH"] = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])

    def run(module, *words):
        written.write_text("")
        command = [sys.executable, "-m", module, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
        return done, written.read_text()

    return run


@pytest.fixture(scope="module")
def compiled(noisy, tmp_path_factory):
    """One compile of a BERT with an adapter into every format: how it ended, what libraries wrote, the bundle."""
    folder = tmp_path_factory.mktemp("terminal")
    lora = kit.lora(kit.bert_classifier(folder / "model"), folder / "lora")
    texts = kit.sentences(48, 3)
    rows = [kit.write_csv(folder / f"{name}.csv", {"text": part, "label": [i % 3 for i in range(len(part))]})
            for name, part in (("evaluation", texts[:32]), ("calibration", texts[32:]))]  # fmt: skip
    formats = [word for name in FORMATS for word in ("--format", name)]
    done, written = noisy(
        "edgeformer", "compile", folder / "model", "-o", folder / "bundle", "--adapter", lora, *formats, "--no-resume",
        "--sequence-lengths", "16", "--evaluation", rows[0], "--calibration", rows[1],
        "--set", "gate.min_cosine_integer_activations=0.5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done, written, folder / "bundle"


def test_a_compile_into_every_format_shows_its_own_lines_alone(compiled):
    done, _, bundle = compiled
    assert [line for line in done.stderr.splitlines() if not OUR_PROGRESS.fullmatch(line)] == []
    assert done.stdout == bundle_table(Bundle.open(bundle)) + "\n"
    for name in FORMATS:
        assert f"export {name} …" in done.stderr


@pytest.mark.parametrize(
    "library",
    [
        pytest.param(library, id=library, marks=pytest.mark.complaint(source, CHATTER[library][1], right))
        for library, source, right in (
            (
                "onnxruntime",
                "microsoft/onnxruntime#26300",
                "an engine's notice while it is imported isn't shown",
            ),
            ("torch.onnx", "microsoft/winml-cli#536", "an exporter's warnings are shown with --debug alone"),
            ("coremltools", "mittagessen/kraken#536", "a converter's log of untested versions isn't shown"),
            ("onnxscript", "pytorch/pytorch#77494", "what an exporter writes to std::cerr isn't shown"),
            ("torch.nn", "advimman/lama#277", "a kernel library's notice on an old CPU isn't shown"),
            ("tokenizers", "sillsdev/silnlp#316", "a tokenizer's advice isn't shown, on neither stream"),
        )
    ],
)
def test_what_a_library_writes_is_kept_away(compiled, library):
    done, written, _ = compiled
    text = CHATTER[library][1]
    assert text in written
    assert text not in done.stdout + done.stderr


def test_debug_shows_what_libraries_write_and_json_stays_one_object(compiled, noisy):
    done, written = noisy("edgeformer", "verify", compiled[2], "--json", "--debug")
    assert CHATTER["onnxruntime"][1] in written
    assert CHATTER["onnxruntime"][1] in done.stderr
    assert [row["variant"] for row in json.loads(done.stdout)["variants"]] == list(FORMATS)


def test_the_device_command_line(compiled, noisy):
    done, written = noisy("edgeformer_runtime", "predict", compiled[2], "the film wins", "--variant", "onnx")
    assert CHATTER["onnxruntime"][1] in written
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"LABEL_\d .*\tthe film wins\n", done.stdout)


def test_a_missing_torch_names_the_cpu_build(tmp_path):
    """A torch-less environment: the same packages, torch hidden from the import system."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, package=None: None if name == 'torch' else find(name, package)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "edgeformer", "compile", str(tmp_path), "-o", str(tmp_path / "bundle")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 2
    assert done.stderr.startswith("edgeformer: torch is not installed: ")
    assert "--index-url https://download.pytorch.org/whl/cpu" in done.stderr
