"""The options of ONNX Runtime's TensorRT provider for one variant on one machine, and where its engines are kept.

An engine fits one model, one ONNX Runtime, one TensorRT, one GPU architecture, one precision and one set of shapes; all
of them are in the name of its folder, so that a change of any builds a new engine and never loads a wrong one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from ..bundle.manifest import VariantEntry
from ..bundle.needs import ShapeProfile, TensorRTNeeds
from ..device.memory import MIB, free_bytes
from ..files.cache import cache_directory
from .gpu import Gpu
from .packages import version_tuple

MAX_WORKSPACE_BYTES = 1 << 30
MIN_WORKSPACE_BYTES = 64 * MIB


@dataclass(frozen=True)
class Versions:
    """What an engine depends on beside the model; None where it isn't known."""

    onnxruntime: str
    tensorrt: Optional[str]
    gpu: Optional[Gpu]

    @property
    def architecture(self) -> str:
        """CUDA's name of the GPU's architecture, for a folder."""
        return (self.gpu.architecture if self.gpu is not None else None) or "unknown-gpu"


@dataclass(frozen=True)
class TensorRTOptions:
    """``provider``: the provider's options; ``cache``: the folder of engines; ``notes``: what was asked for and isn't
    done.
    """

    provider: Dict[str, str]
    cache: Path
    notes: Tuple[str, ...] = ()


def make_options(digest: str, variant: VariantEntry, versions: Versions, free: Optional[int] = None) -> TensorRTOptions:
    """The options for a file with the SHA-256 ``digest``.

    ``free``: memory that can be had, in bytes; by default asked of the system.
    """
    precisions = _precisions(variant, versions.tensorrt)
    needs = variant.tensorrt if variant.tensorrt is not None else TensorRTNeeds()
    profiles = _profiles(needs.profiles)
    core, notes = _dla_core(needs.dla_core, versions.gpu)
    cache = cache_directory() / "tensorrt" / _folder(digest, versions, precisions, {**profiles, "dla": core})
    options = {
        "device_id": "0",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        "trt_max_workspace_size": str(_workspace(needs.workspace_bytes, free)),
        **{f"trt_{name}_enable": "1" for name in precisions},
        **profiles,
    }
    # Timings hold for every model on the same GPU. Releases before 1.17 refuse the option and keep them by engine.
    if version_tuple(versions.onnxruntime) >= (1, 17):
        timings = f"timings-trt{versions.tensorrt or 'unknown'}-{versions.architecture}"
        options["trt_timing_cache_path"] = str(cache.parent / timings)
    if core is not None:
        options["trt_dla_enable"] = "1"
        options["trt_dla_core"] = str(core)
    return TensorRTOptions(options, cache, notes)


def _precisions(variant: VariantEntry, tensorrt: Optional[str]) -> Tuple[str, ...]:
    # From TensorRT 11 on the types in the graph decide alone, and the flags are gone.
    if tensorrt is not None and version_tuple(tensorrt) >= (11,):
        return ()
    names = []
    if variant.tensorrt is not None and variant.tensorrt.precision == "fp16":
        names.append("fp16")
    if any(name.startswith("int8") for name in variant.weight_formats):
        names.append("int8")
    return tuple(names)


def _folder(digest: str, versions: Versions, precisions: Tuple[str, ...], rest: Dict[str, Any]) -> str:
    shapes = hashlib.sha256(json.dumps(rest, sort_keys=True).encode("utf-8")).hexdigest()[:8]
    return "-".join(
        (
            digest[:32],
            f"ort{versions.onnxruntime}",
            f"trt{versions.tensorrt or 'unknown'}",
            versions.architecture,
            "+".join(precisions) or "typed",
            shapes,
        )
    )


def _profiles(profiles: Mapping[str, ShapeProfile]) -> Dict[str, str]:
    """Shapes by input and bound in the words of the provider: "input_ids:1x64,attention_mask:1x64"."""
    if not profiles:
        return {}
    return {
        f"trt_profile_{bound}_shapes": ",".join(
            f"{name}:{'x'.join(map(str, getattr(shapes, bound)))}" for name, shapes in profiles.items()
        )
        for bound in ("min", "opt", "max")
    }


def _workspace(asked: Optional[int], free: Optional[int]) -> int:
    """Bytes that TensorRT may use while it builds: what was asked for, else a quarter of what is free, up to 1 GiB."""
    if asked is not None:
        return asked
    known = free if free is not None else free_bytes()
    return MAX_WORKSPACE_BYTES if known is None else max(MIN_WORKSPACE_BYTES, min(MAX_WORKSPACE_BYTES, known // 4))


def _dla_core(asked: Optional[int], gpu: Optional[Gpu]) -> Tuple[Optional[int], Tuple[str, ...]]:
    """The accelerator core to use, and what to say where the one asked for isn't there."""
    if asked is None:
        return None, ()
    cores = gpu.dla_cores if gpu is not None else None
    if cores is not None and asked >= cores:
        board = gpu.name if gpu is not None else "this board"
        return None, (f"DLA core {asked} was asked for and not used: {board} has {cores or 'none'}",)
    return asked, ()
