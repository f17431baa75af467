"""TensorRT through ONNX Runtime's execution provider, as JetPack brings it."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any, Tuple

from ..bundle.manifest import VariantEntry
from ..errors import EngineError
from .accelerated import CPU, CUDA, open_accelerated
from .base import Availability, LoadedModel, Say, to_stderr
from .gpu import find_gpu, tensorrt_version
from .onnx_files import check_single_file, count_nodes
from .onnxruntime import OnnxModel, find_onnxruntime
from .packages import version_problem
from .tensorrt_options import Versions, make_options

PROVIDER = "TensorrtExecutionProvider"


class TensorRTEngine:
    """Loads ONNX variants that were made for TensorRT. Building its engine at the first load takes minutes."""

    name = "tensorrt"

    def availability(self, variant: VariantEntry) -> Availability:
        """Is there an ONNX Runtime with the TensorRT provider, and a TensorRT that is new enough?"""
        return _find(variant)[0]

    def load(self, path: Path, variant: VariantEntry, threads: int, say: Say = to_stderr) -> LoadedModel:
        """Load an ONNX file on the GPU, or raise EngineError: a TensorRT that takes nothing is no TensorRT.

        Nodes that TensorRT refuses run on CUDA, else on the CPU; ``delegation`` counts and names them.
        """
        found, ort = _find(variant)
        if not found.usable:
            raise EngineError(f"variant {variant.name!r}: {found.reason}")
        check_single_file(path)
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        options = make_options(digest, variant, Versions(ort.__version__, tensorrt_version(), find_gpu()))
        kept = _is_writable(options.cache)
        before = _engines(options.cache)
        if not before:
            where = f"next time it comes from {options.cache}" if kept else f"it can't be kept in {options.cache}"
            say(f"variant {variant.name}: building its TensorRT engine; this takes minutes on a Jetson; {where}")
        behind = (CUDA, CPU) if CUDA in ort.get_available_providers() else (CPU,)
        made = open_accelerated(ort, content, variant, threads, PROVIDER, options.provider, behind)
        built = _engines(options.cache) - before
        notes = (
            _build_note(made.seconds, bool(before), bool(built)),
            *options.notes,
            *made.placement.notes(PROVIDER, count_nodes(content)),
        )
        if not before:
            say(f"variant {variant.name}: {notes[0]}")
        return OnnxModel(made.session, f"onnxruntime {found.version} ({PROVIDER})", notes)


def _find(variant: VariantEntry) -> Tuple[Availability, Any]:
    found, ort = find_onnxruntime(TensorRTEngine.name, variant)
    if not found.usable:
        return found, ort

    def no(reason: str) -> Availability:
        return Availability(False, TensorRTEngine.name, found.package, found.version, reason)

    if PROVIDER not in ort.get_available_providers():
        return no(
            f"onnxruntime {found.version} has no {PROVIDER}: install NVIDIA's onnxruntime-gpu wheel for this "
            "JetPack (it is not on PyPI for aarch64)"
        ), ort
    version, gpu = tensorrt_version(), find_gpu()
    if version is not None:
        problem = version_problem("TensorRT", version, variant.min_engine_version)
        if problem is not None:
            return no(f"{problem}: install a newer JetPack, or compile for this one"), ort
    if gpu is None:
        return no("no NVIDIA GPU was found: neither the device tree nor nvidia-smi names one"), ort
    return dataclasses.replace(found, detail=f"TensorRT {version or 'unknown'}, {gpu.name}, {gpu.architecture}"), ort


def _is_writable(folder: Path) -> bool:
    """Whether engines can be kept in ``folder``, which is made where it doesn't exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError:
        return False
    return True


def _engines(folder: Path) -> "set[Path]":
    try:
        return set(folder.glob("*.engine"))
    except OSError:
        return set()


def _build_note(seconds: float, cached: bool, built: bool) -> str:
    if cached and not built:
        return f"TensorRT's engine came from the cache; loading it and a first inference took {seconds:.1f} s"
    kept = "kept for the next time" if built else "not kept: the cache folder holds no engine afterwards"
    return f"TensorRT's engine was built; with a first inference that took {seconds:.1f} s ({kept})"


ENGINE = TensorRTEngine()
