"""Every engine by name, with what is known of it. A module is imported only when a variant asks for its engine."""

from __future__ import annotations

from importlib import import_module
from typing import Dict, Tuple

from ..bundle.manifest import VariantEntry
from ..device.memory import Need
from ..errors import EngineError
from .base import Availability, Engine, LoadedModel
from .facts import EngineFacts, Taken

ENGINES: Dict[str, EngineFacts] = {
    "onnxruntime": EngineFacts(
        module=".onnxruntime",
        on_request=("cuda",),
        # Two weights a byte, each four bytes long for a moment while it is folded, and one afterwards.
        memory_of_4_bits=Taken(10, 3),
        declared_as=("onnxruntime",),
        extra="onnxruntime",
        distributions=("onnxruntime", "onnxruntime-gpu"),
    ),
    "cuda": EngineFacts(module=".cuda", gpu=True),
    "tensorrt": EngineFacts(
        module=".tensorrt",
        behind=("cuda", "onnxruntime"),
        gpu=True,
        builds=True,
        memory=Taken(5, 5),
        declared_as=("tensorrt",),
        comes_with_device=True,
    ),
    "litert": EngineFacts(
        module=".litert",
        memory=Taken(2, 2, fixed_mib=8),
        memory_of_float16=Taken(6, 5, fixed_mib=8),  # widened to 32 bits, and packed for the kernels
        declared_as=("litert", "tflite_runtime"),
        extra="litert",
        extra_armv7l="tflite-runtime",  # PyPI has no other engine for it
        distributions=("ai-edge-litert", "tflite-runtime"),
    ),
    "coreml": EngineFacts(module=".coreml", declared_as=("coreml",)),
}

__all__ = [
    "ENGINES",
    "Availability",
    "Engine",
    "EngineFacts",
    "LoadedModel",
    "chain",
    "declared_names",
    "get_engine",
    "memory_need",
    "runs_on_gpu",
]


def get_engine(name: str) -> Engine:
    """The engine called ``name``; raises EngineError naming those that exist."""
    if name not in ENGINES:
        raise EngineError(
            f"engine {name!r} is unknown to this runtime, which has {', '.join(ENGINES)}: update edgeformer-runtime"
        )
    engine: Engine = import_module(ENGINES[name].module, __name__).ENGINE
    return engine


def chain(name: str) -> Tuple[str, ...]:
    """Which engines run a variant made for ``name``, best first; an engine of a later release stands alone."""
    return (name, *ENGINES[name].behind) if name in ENGINES else (name,)


def runs_on_gpu(name: str) -> bool:
    """Whether the engine computes on a GPU; False for one of a later release."""
    return name in ENGINES and ENGINES[name].gpu


def memory_need(variant: VariantEntry) -> Need:
    """What opening ``variant`` takes at most in the engine that it was made for."""
    facts = ENGINES.get(variant.engine)
    return Taken(2, 2).of(variant.size_bytes) if facts is None else facts.need(variant)


def declared_names() -> Tuple[str, ...]:
    """By which names a device's profile may say what it has."""
    return tuple(name for facts in ENGINES.values() for name in facts.declared_as)
