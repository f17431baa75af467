"""CUDA through ONNX Runtime's execution provider: what TensorRT's variants run on where TensorRT itself can't."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Tuple

from ..bundle.manifest import VariantEntry
from ..errors import EngineError
from .accelerated import CPU, CUDA, open_accelerated
from .base import Availability, LoadedModel, Say, to_stderr
from .gpu import find_gpu
from .onnx_files import check_single_file, count_nodes
from .onnxruntime import OnnxModel, find_onnxruntime

# A Jetson's GPU takes its memory from the same chips as everything else, so the arena grows by what is asked for only.
OPTIONS = {"device_id": "0", "arena_extend_strategy": "kSameAsRequested"}


class CudaEngine:
    """Loads ONNX variants on an NVIDIA GPU without TensorRT."""

    name = "cuda"

    def availability(self, variant: VariantEntry) -> Availability:
        """Is there an ONNX Runtime with the CUDA provider, and a GPU?"""
        return _find(variant)[0]

    def load(self, path: Path, variant: VariantEntry, threads: int, say: Say = to_stderr) -> LoadedModel:
        """Load an ONNX file on the GPU; raises EngineError where the GPU can't or takes nothing of it."""
        found, ort = _find(variant)
        if not found.usable:
            raise EngineError(f"variant {variant.name!r}: {found.reason}")
        check_single_file(path)
        content = path.read_bytes()
        made = open_accelerated(ort, content, variant, threads, CUDA, OPTIONS, behind=(CPU,))
        return OnnxModel(
            made.session, f"onnxruntime {found.version} ({CUDA})", made.placement.notes(CUDA, count_nodes(content))
        )


def _find(variant: VariantEntry) -> Tuple[Availability, Any]:
    found, ort = find_onnxruntime(CudaEngine.name, variant)
    if not found.usable:
        return found, ort
    if CUDA not in ort.get_available_providers():
        reason = (
            f"onnxruntime {found.version} has no {CUDA}: install the onnxruntime-gpu wheel for this system (for a "
            "Jetson NVIDIA's own: it is not on PyPI for aarch64)"
        )
        return Availability(False, CudaEngine.name, found.package, found.version, reason), ort
    gpu = find_gpu()
    if gpu is None:
        reason = "no NVIDIA GPU was found: neither the device tree nor nvidia-smi names one"
        return Availability(False, CudaEngine.name, found.package, found.version, reason), ort
    return dataclasses.replace(found, detail=f"{gpu.name}, {gpu.architecture}"), ort


ENGINE = CudaEngine()
