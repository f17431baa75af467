"""What the benchmark of local attention runs: the kernels' library, and BERT-base's shape with random weights."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import torch

import edgeformer as ef
from edgeformer.model.base import Model
from edgeformer.passes.base import PassContext
from edgeformer.passes.local_attention import LocalAttend
from edgeformer.passes.quantize import Quantize
from edgeformer_converters.base import Converter, ExportRequest
from edgeformer_converters.litert.export import LiteRTConverter
from edgeformer_converters.onnx.export import OnnxConverter

RADIUS, LONGEST = 128, 4096
SOURCE = Path(__file__).resolve().parents[2] / "runtime" / "kernels"


def kernels(work: Path) -> Path | None:
    """The kernels' library: of the installed wheel, or built here; None without CMake and a compiler."""
    try:
        import edgeformer_kernels
    except ImportError:
        if shutil.which("cmake") is None or shutil.which("c++") is None:
            return None
        build = work / "kernels"
        for command in (["cmake", "-S", SOURCE, "-B", build], ["cmake", "--build", build]):
            subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        return build / "libedgeformer_kernels.so"
    return edgeformer_kernels.library_path() if edgeformer_kernels.isa() else None


def encoder(directory: Path) -> Model:
    """BERT-base for 4,096 positions, random weights, saved once."""
    if not (directory / "model.safetensors").is_file():
        from transformers import BertConfig, BertForSequenceClassification

        torch.manual_seed(0)
        config = BertConfig(num_labels=2, max_position_embeddings=LONGEST)
        BertForSequenceClassification(config).save_pretrained(directory)
    return ef.load_model(directory)


def files(work: Path) -> dict[str, Path]:
    """The encoder as fp32 and int8 with full attention, int8 with windows in ONNX and TFLite; exported once."""
    work.mkdir(parents=True, exist_ok=True)
    made = {
        name: work / name / f"model.{kind}"
        for name, kind in (
            ("fp32-full", "onnx"),
            ("int8-full", "onnx"),
            ("int8-local", "onnx"),
            ("int8-local-tflite", "tflite"),
        )
    }
    if all(path.is_file() for path in made.values()):
        return made
    model, context = encoder(work / "encoder"), PassContext()
    quantize = Quantize(feed_forward="int8")
    local = LocalAttend(radius=RADIUS).run(model, context).model
    ready = {
        "fp32-full": model,
        "int8-full": quantize.run(model, context).model,
        "int8-local": quantize.run(local, context).model,
    }
    ready["int8-local-tflite"] = ready["int8-local"]
    for name, path in made.items():
        if path.is_file():
            continue
        converter: Converter = LiteRTConverter() if path.suffix == ".tflite" else OnnxConverter()
        staged = work / f"{name}.new"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        request = ExportRequest(
            module=ready[name].callable_module(),
            inputs=model.inputs,
            outputs=model.outputs,
            example_inputs=model.example_inputs,
            sequence_lengths=(LONGEST,),
            plan=converter.plans(())[0],
        )
        facts = converter.export(request, staged).facts
        shutil.rmtree(path.parent, ignore_errors=True)
        staged.rename(path.parent)
        if path.suffix == ".tflite":
            print(f"TFLite: {facts['xnnpack_partitions']} XNNPACK partitions, left out: {facts['xnnpack_left_out']}")
    return made
