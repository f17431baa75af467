"""Target: what a device declares itself to be. What it turns out to be is probed, see ``facts.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from ..errors import TargetError

ARCHITECTURES = ("x86_64", "aarch64", "armv7l")


@dataclass(frozen=True)
class EngineSpec:
    """An engine that a device is known to run, and the limits that an exporter must keep for it."""

    name: str  # one of ``engines.declared_names()``
    version: str  # the newest release that installs on the device, e.g. "1.31.1"; for coreml "iOS18"
    max_opset: Optional[int] = None  # newest ONNX opset it accepts (onnxruntime, tensorrt)

    def __post_init__(self) -> None:
        if not self.name or not self.version:
            raise TargetError(f"engine {self.name!r}, version {self.version!r}: expected both")


@dataclass(frozen=True)
class Target:
    """Declared facts of one device, each with its source (``sources``: field name -> address or document)."""

    name: str
    title: str
    arch: str  # one of ARCHITECTURES
    cpu_cores: int
    cpu_features: Tuple[str, ...]
    memory_bytes: int
    engines: Tuple[EngineSpec, ...]  # preferred first
    power_sensor: Optional[str] = None  # name of the family in power/, None where the device has none
    sources: Dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.arch not in ARCHITECTURES:
            raise TargetError(f"target {self.name}: arch {self.arch!r}: expected one of {', '.join(ARCHITECTURES)}")
        if self.cpu_cores < 1 or self.memory_bytes < 1:
            raise TargetError(f"target {self.name}: cpu_cores and memory_bytes must be positive")
        if not self.engines:
            raise TargetError(f"target {self.name}: declares no engine, so nothing can be compiled for it")

    def engine(self, name: str) -> Optional[EngineSpec]:
        """The engine called ``name``, or None where the device has none."""
        return next((engine for engine in self.engines if engine.name == name), None)
