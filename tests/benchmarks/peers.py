"""What people would use instead, made from the same uncompressed model."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import torch
from timing import THREADS

from edgeformer.model.base import Model


def export_float32(model: Model, path: Path) -> Path:
    """torch's own ONNX export of the uncompressed model: the baseline of every ratio."""
    batch, sequence = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("sequence", min=2, max=512)
    names = [spec.name for spec in model.inputs]
    torch.onnx.export(
        model.callable_module(),
        model.example_inputs,
        str(path),
        input_names=names,
        output_names=[spec.name for spec in model.outputs],
        dynamo=True,
        external_data=False,
        verbose=False,
        dynamic_shapes={"tensors": tuple({0: batch, 1: sequence} for _ in names)},
    )
    return path


def quantize_dynamic(source: Path, path: Path) -> Path:
    """ONNX Runtime's own dynamic int8, per channel, every operator that it knows."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = onnx.load(source)
    del graph.graph.value_info[:]  # stale shapes make its shape inference fail
    cleaned = path.with_suffix(".source.onnx")
    onnx.save(graph, cleaned)
    quantize_dynamic(cleaned, path, per_channel=True, weight_type=QuantType.QInt8)
    cleaned.unlink()
    return path


def litert_dynamic(model: Model, length: int, path: Path) -> Path:
    """LiteRT's tools as their documentation uses them: convert, then dynamic-range int8."""
    import litert_torch
    from ai_edge_quantizer import quantizer, recipe

    ids = torch.randint(1, 1000, (1, length))
    plain = path.with_suffix(".float.tflite")
    path.unlink(missing_ok=True)
    with contextlib.redirect_stdout(io.StringIO()):  # their progress isn't part of the table
        converted = litert_torch.convert(model.callable_module(), (ids, torch.ones(1, length, dtype=torch.long)))
        converted.export(str(plain))
        quantizer.Quantizer(str(plain), recipe.dynamic_wi8_afp32()).quantize().export_model(str(path))
    plain.unlink()
    return path


def ort_session(path: Path, threads: int = THREADS, library: Path | None = None):
    """An ONNX Runtime session with the settings that the device runtime uses, and a library of operators."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    if library is not None:
        options.register_custom_ops_library(str(library))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def litert_runner(path: Path, length: int, threads: int = THREADS):
    """A call that runs the LiteRT file once on ``random_feeds``."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path), num_threads=threads).get_signature_runner()
    details = runner.get_input_details()
    feeds = random_feeds(length).values()
    inputs = {name: array.astype(details[name]["dtype"]) for name, array in zip(details, feeds, strict=True)}
    return lambda: runner(**inputs) and None


def random_feeds(length: int) -> dict[str, np.ndarray]:
    """One row of valid tokens, nothing masked."""
    ids = np.random.default_rng(0).integers(1000, 20000, (1, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}
