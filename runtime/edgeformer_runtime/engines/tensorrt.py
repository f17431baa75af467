"""TensorRT through ONNX Runtime's execution provider, as JetPack brings it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from ..bundle import file_sha256
from ..cache import cache_directory
from ..errors import EngineError
from ..manifest import VariantEntry
from .base import Availability, LoadedModel
from .onnx_files import check_single_file
from .onnxruntime import OnnxModel, create_session, find_onnxruntime, session_options
from .packages import import_package, is_installed, package_version, version_problem, version_tuple

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
        provider_options = _provider_options(path, variant, ort.__version__, _tensorrt_version())
        providers = [(PROVIDER, provider_options), "CPUExecutionProvider"]
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
    version = _tensorrt_version()
    if found.usable and version is not None:
        problem = version_problem("TensorRT", version, variant.min_engine_version)
        if problem is not None:
            reason = f"{problem}: install a newer JetPack, or compile for this one"
            found = Availability(False, TensorRTEngine.name, found.package, found.version, reason)
    return found, ort


def _tensorrt_version() -> Optional[str]:
    """The version of TensorRT itself; None where JetPack's Python package of it isn't installed."""
    if not is_installed("tensorrt"):
        return None
    try:
        return package_version(import_package("tensorrt"), "tensorrt")
    except EngineError:
        return None


def _provider_options(path: Path, variant: VariantEntry, version: str, tensorrt: Optional[str]) -> Dict[str, str]:
    """Options of the provider; ``version`` is ONNX Runtime's, ``tensorrt`` TensorRT's own where known."""
    # TensorRT checks its own version and the GPU against a cached engine; the model and ONNX Runtime are ours
    # to key.
    cache = cache_directory() / "tensorrt" / f"{file_sha256(path)[:32]}-{version}"
    options = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
    }
    # From TensorRT 11 on the types in the graph decide alone.
    if tensorrt is None or version_tuple(tensorrt) < (11,):
        if variant.settings.get("precision") == "fp16":
            options["trt_fp16_enable"] = "1"
        if any(name.startswith("int8") for name in variant.weight_formats):
            options["trt_int8_enable"] = "1"
    return {**options, **_profiles(variant.settings.get("profiles"))}


def _profiles(profiles: Any) -> Dict[str, str]:
    """Shapes by input and bound in the words of the provider: "input_ids:1x64,attention_mask:1x64"."""
    if not profiles:
        return {}
    try:
        return {
            f"trt_profile_{bound}_shapes": ",".join(
                f"{name}:{'x'.join(str(int(size)) for size in shapes[bound])}" for name, shapes in profiles.items()
            )
            for bound in ("min", "opt", "max")
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EngineError(f"variant settings: profiles {profiles!r:.200}: expected min, opt and max of each") from error


ENGINE = TensorRTEngine()
