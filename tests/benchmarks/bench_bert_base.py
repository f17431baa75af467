"""BERT-base's shape with random weights: latency of int8 in each engine against ONNX Runtime fp32. No accuracy here."""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path

import torch
from bench_minilm import WORK
from peers import export_float32, litert_dynamic, litert_runner, ort_session, quantize_dynamic, random_feeds
from timing import THREADS, Worker, environment, interleaved, ratios

import edgeformer as ef
from edgeformer_runtime import Session

HERE = Path(__file__).resolve().parent
LENGTH = 128


def random_model(directory: Path, **sizes: int) -> Path:
    """BERT-base, or one of other sizes, with a classifier, saved once."""
    if not (directory / "model.safetensors").is_file():
        from transformers import BertConfig, BertForSequenceClassification

        torch.manual_seed(0)
        BertForSequenceClassification(BertConfig(num_labels=2, **sizes)).save_pretrained(directory)
    return directory


def main() -> None:
    """Print the table of sizes and ratios."""
    model_dir = random_model(WORK / "bert-base")
    model = ef.load_model(model_dir)
    fp32 = export_float32(model, WORK / "bert-base-fp32.onnx")
    dynamic = quantize_dynamic(fp32, WORK / "bert-base-ort-dynamic.onnx")
    plain = litert_dynamic(model, LENGTH, WORK / "bert-base-litert.tflite")
    # random weights: two logits of nearly zero say nothing about direction, so the gate's cosine is left open
    recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=-1")
    bundle = ef.compile(
        model_dir, output=WORK / "bert-base-int8", recipe=recipe, formats=["onnx", "tflite"], sequence_lengths=[LENGTH]
    )
    feeds = random_feeds(LENGTH)
    sizes = {"ONNX Runtime fp32": fp32, "ONNX Runtime quantize_dynamic": dynamic, "LiteRT's tools, int8": plain}
    sizes = {name: path.stat().st_size for name, path in sizes.items()}
    sessions = {"ONNX Runtime fp32": ort_session(fp32), "ONNX Runtime quantize_dynamic": ort_session(dynamic)}
    runs = {name: lambda s=s: s.run(None, feeds) and None for name, s in sessions.items()}
    runs["LiteRT's tools, int8"] = litert_runner(plain, LENGTH)
    for entry in bundle.manifest.variants:
        session = Session.open(bundle.path, variant=entry.name, threads=THREADS)
        runs[f"edgeformer int8, {entry.format}"] = lambda s=session: s.run(feeds) and None
        sizes[f"edgeformer int8, {entry.format}"] = entry.size_bytes
    python = environment(WORK / "peers", "openvino", "nncf", "onnx", "numpy<2.4")
    workers = {
        p: Worker(python, HERE / "openvino_worker.py", str(fp32), p, str(LENGTH), str(THREADS))
        for p in ("fp32", "int8")
    }
    runs |= {f"{worker.label}, {precision}": worker for precision, worker in workers.items()}
    rounds = interleaved(runs)
    factor = ratios(rounds, "ONNX Runtime fp32")
    print(f"\nBERT-base shape, random weights, {LENGTH} tokens, batch 1")
    print("| variant | MB | ms | ratio to fp32 |\n|---|---|---|---|")
    for name in runs:
        size = f"{sizes[name] / 1e6:.1f}" if name in sizes else "-"
        print(f"| {name} | {size} | {statistics.median(rounds[name]):.1f} | {factor[name]:.3f} |")
    for worker in workers.values():
        worker.close()
    shutil.rmtree(bundle.path)
