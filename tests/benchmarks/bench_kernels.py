"""Native kernels of 4-bit linear layers: their share of the peak, then whole models of random weights against peers."""

from __future__ import annotations

import os
import statistics
import subprocess
from pathlib import Path

from bench_bert_base import random_model
from bench_minilm import ROOT, WORK
from peers import export_float32, litert_dynamic, litert_runner, ort_session, quantize_dynamic, random_feeds
from timing import environment, interleaved, ratios

import edgeformer as ef

KERNELS = ROOT / "runtime" / "kernels"
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
MODELS = {"MiniLM's shape": (MINILM, (16, 64, 128)), "BERT-base's shape": ({}, (128,))}
BASELINE = "ONNX Runtime fp32"


def main() -> None:
    """Print the table of single layers, then one a model."""
    library = _build(WORK / "kernels") / "libedgeformer_kernels.so"
    tests = _build(WORK / "kernels-tests", "-DEDGEFORMER_TESTS=ON")
    print(subprocess.run([tests / "bench_quantized_linear"], capture_output=True, text=True, check=True).stdout)
    for title, (sizes, lengths) in MODELS.items():
        _model(title, sizes, lengths, library)


def _build(directory: Path, *settings: str) -> Path:
    """The kernels as a wheel has them: compiled by Zig's Clang."""
    python = environment(WORK / "zig", "ziglang")
    found = subprocess.run([python, "-c", "import ziglang; print(ziglang.__path__[0])"], capture_output=True, text=True)
    variables = {**os.environ, "ZIG": str(Path(found.stdout.strip()) / "zig"), "EDGEFORMER_ARCH": os.uname().machine}
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={KERNELS / 'cmake' / 'zig-linux.cmake'}"
    configure = ["cmake", "-S", KERNELS, "-B", directory, toolchain, *settings]
    for command in (configure, ["cmake", "--build", directory]):
        subprocess.run(command, env=variables, check=True, stdout=subprocess.DEVNULL)
    return directory


def _compiled(source: Path, bits: int) -> Path:
    """The ONNX file of a bundle with ``bits`` in every layer of the blocks."""
    # random weights: two logits of nearly zero say nothing about direction, so the gate's cosine is left open
    recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=-1")
    for part in ("attention", "feed_forward"):
        recipe = recipe.with_setting(f"quantize.{part}=int{bits}")
    bundle = ef.compile(source, output=f"{source}-int{bits}", recipe=recipe, formats=["onnx"], sequence_lengths=[128])
    (entry,) = bundle.manifest.variants
    return bundle.path / entry.path


def _model(title: str, sizes: dict[str, int], lengths: tuple[int, ...], library: Path) -> None:
    source = random_model(WORK / f"kernels-{'minilm' if sizes else 'bert-base'}", **sizes)
    model = ef.load_model(source)
    fp32 = export_float32(model, source.with_suffix(".fp32.onnx"))
    files = {
        BASELINE: fp32,
        "ONNX Runtime quantize_dynamic": quantize_dynamic(fp32, source.with_suffix(".dynamic.onnx")),
        "edgeformer int8": _compiled(source, 8),
        "edgeformer int4, portable body": _compiled(source, 4),
    }
    peers = {length: litert_dynamic(model, length, source.with_suffix(f".{length}.tflite")) for length in lengths}
    print(f"\n{title}, random weights, batch 1; ms and ratio to {BASELINE}")
    print("| tokens | threads | " + " | ".join([*files, "edgeformer int4, kernel", "LiteRT's tools, int8"]) + " |")
    print("|---|---|" + "---|" * (len(files) + 2))
    for threads in (1, 2):
        sessions = {name: ort_session(path, threads) for name, path in files.items()}
        sessions["edgeformer int4, kernel"] = ort_session(files["edgeformer int4, portable body"], threads, library)
        for length in lengths:
            feeds = random_feeds(length)
            runs = {name: lambda s=session, row=feeds: s.run(None, row) and None for name, session in sessions.items()}
            runs["LiteRT's tools, int8"] = litert_runner(peers[length], length, threads)
            rounds = interleaved(runs)
            factors = ratios(rounds, BASELINE)
            cells = [f"{statistics.median(rounds[name]):.2f} ({factors[name]:.3f})" for name in runs]
            print(f"| {length} | {threads} | " + " | ".join(cells) + " |", flush=True)
