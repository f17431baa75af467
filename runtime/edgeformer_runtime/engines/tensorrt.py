"""TensorRT through ONNX Runtime's execution provider, as JetPack brings it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Tuple

from ..bundle import file_sha256
from ..cache import cache_directory
from ..errors import EngineError
from ..manifest import VariantEntry
from .base import Availability, LoadedModel
from .onnx_files import check_single_file
from .onnxruntime import OnnxModel, create_session, find_onnxruntime, session_options

PROVIDER = "TensorrtExecutionProvider"


class TensorRTEngine:
    """Loads ONNX variants that were made for TensorRT. Building its engine at the first load takes
    minutes.
    """

    name = "tensorrt"

    def availability(self, variant: VariantEntry) -> Availability:
        """Is there an ONNX Runtime with the TensorRT provider?"""
        return _find(variant)[0]

    def load(self, path: Path, variant: VariantEntry, threads: int) -> LoadedModel:
        """Load an ONNX file on the GPU, or raise EngineError: falling back to the CPU is never silent."""
        found, ort = _find(variant)
        if not found.usable:
            raise EngineError(f"variant {variant.name!r}: {found.reason}")
        check_single_file(path)
        options = session_options(ort, threads, stop_spinning=True)
        providers = [(PROVIDER, _provider_options(path, variant, ort.__version__)), "CPUExecutionProvider"]
        session = create_session(ort, path, variant, options, providers)
        active = session.get_providers()
        if PROVIDER not in active:
            raise EngineError(
                f"variant {variant.name!r}: {PROVIDER} did not start, ONNX Runtime took {', '.join(active)}: "
                "check that the TensorRT and CUDA libraries of this JetPack are the ones that onnxruntime "
                "was built for"
            )
        note = "how many nodes TensorRT took is not reported: the rest runs on the CPU"
        return OnnxModel(session, f"onnxruntime {found.version} ({PROVIDER})", (note,))


def _find(variant: VariantEntry) -> Tuple[Availability, Any]:
    found, ort = find_onnxruntime(TensorRTEngine.name, variant)
    if found.usable and PROVIDER not in ort.get_available_providers():
        reason = (
            f"onnxruntime {found.version} has no {PROVIDER}: install NVIDIA's onnxruntime-gpu wheel for this "
            "JetPack (it is not on PyPI for aarch64)"
        )
        found = Availability(False, TensorRTEngine.name, found.package, found.version, reason)
    return found, ort


def _provider_options(path: Path, variant: VariantEntry, version: str) -> Dict[str, str]:
    # TensorRT checks its own version and the GPU against a cached engine; the model and ONNX Runtime are ours
    # to key.
    cache = cache_directory() / "tensorrt" / f"{file_sha256(path)[:32]}-{version}"
    options = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
    }
    if variant.settings.get("precision") == "fp16":
        options["trt_fp16_enable"] = "1"
    return options


ENGINE = TensorRTEngine()
