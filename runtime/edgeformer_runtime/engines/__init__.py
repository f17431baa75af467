"""Every engine by name. A module is imported only when a variant asks for its engine."""

from __future__ import annotations

from importlib import import_module
from typing import Dict, Tuple

from ..errors import EngineError
from .base import Availability, Engine, LoadedModel

ENGINES: Dict[str, str] = {
    "onnxruntime": ".onnxruntime",
    "cuda": ".cuda",
    "tensorrt": ".tensorrt",
    "litert": ".litert",
    "coreml": ".coreml",
}

# Which engines run a variant made for one of them, best first. Every other variant has its own engine only.
CHAINS: Dict[str, Tuple[str, ...]] = {"tensorrt": ("tensorrt", "cuda", "onnxruntime")}
# Engines that run such a variant too, where the caller names them.
ON_REQUEST: Dict[str, Tuple[str, ...]] = {"onnxruntime": ("cuda",)}

__all__ = ["CHAINS", "ENGINES", "ON_REQUEST", "Availability", "Engine", "LoadedModel", "get_engine"]


def get_engine(name: str) -> Engine:
    """The engine called ``name``; raises EngineError naming those that exist."""
    if name not in ENGINES:
        raise EngineError(
            f"engine {name!r} is unknown to this runtime, which has {', '.join(ENGINES)}: update edgeformer-runtime"
        )
    engine: Engine = import_module(ENGINES[name], __name__).ENGINE
    return engine
