"""Core ML through coremltools, which can run a model on macOS only. An iPhone opens the bundle from Swift."""

from __future__ import annotations

import platform
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from ..bundle.manifest import VariantEntry
from ..device.memory import inference_error
from ..errors import EngineError
from .base import Availability, LoadedModel, Say, to_stderr
from .packages import cast_to, import_package, is_installed, package_version, version_tuple

PACKAGE = "coremltools"


class CoreMLEngine:
    """Loads .mlpackage variants on macOS."""

    name = "coreml"

    def availability(self, variant: VariantEntry) -> Availability:
        """Is this macOS, with coremltools?"""
        reason = _reason()
        if reason is not None:
            return Availability(False, self.name, reason=reason)
        try:
            module = import_package(PACKAGE)
        except EngineError as error:
            return Availability(False, self.name, PACKAGE, reason=f"{error}: pip install coremltools")
        problem = _system_problem(variant.min_engine_version, platform.mac_ver()[0])
        version = package_version(module, PACKAGE)
        return Availability(problem is None, self.name, PACKAGE, version, problem)

    def load(self, path: Path, variant: VariantEntry, threads: int, say: Say = to_stderr) -> LoadedModel:
        """Load an .mlpackage; Core ML chooses its own threads and compute units. Raises EngineError."""
        found = self.availability(variant)
        if not found.usable:
            raise EngineError(f"variant {variant.name!r}: {found.reason}")
        try:
            model = import_package(PACKAGE).models.MLModel(str(path))
        except Exception as error:
            raise EngineError(f"variant {variant.name!r}: Core ML can't load {path.name}: {error}") from error
        return CoreMLModel(model, f"coremltools {found.version} (Core ML)")


class CoreMLModel:
    """An MLModel as a LoadedModel."""

    delegation: Tuple[str, ...] = ("Core ML chose threads and compute units itself",)

    def __init__(self, model: Any, label: str) -> None:
        self.label = label
        self._model = model
        self._lock = threading.Lock()  # Core ML allows one prediction a model at a time
        self._inputs = {item.name for item in model.get_spec().description.input}

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """One inference; raises EngineError."""
        model = self._model
        if model is None:
            raise EngineError(f"{self.label}: the model is closed")
        # Core ML's arrays are float32 or int32.
        values = {
            name: cast_to(name, array, np.dtype("int32" if array.dtype.kind in "biu" else "float32"))
            for name, array in feeds.items()
            if name in self._inputs
        }
        try:
            with self._lock:
                results = model.predict(values)
        except Exception as error:
            raise inference_error(self.label, error, feeds) from error
        return {name: np.asarray(value) for name, value in results.items()}

    def close(self) -> None:
        """Drop the model."""
        self._model = None


def _system_problem(minimum: Optional[str], macos: str) -> Optional[str]:
    """Why macOS ``macos`` can't run a variant made for ``minimum``, a deployment target like "iOS18"."""
    if minimum is None:
        return None
    needed = version_tuple(minimum.replace("iOS", ""))
    # macOS 13, 14 and 15 came with iOS 16, 17 and 18; from 26 on they share their number.
    release = needed[0] if needed[0] >= 26 else needed[0] - 3
    if version_tuple(macos) >= (release,):
        return None
    return f"made for {minimum}, which is macOS {release} or newer, got macOS {macos}: update macOS"


def _reason() -> Optional[str]:
    if sys.platform != "darwin":
        return f"Core ML runs on Apple's systems only, this is {sys.platform}: use another variant"
    if not is_installed(PACKAGE):
        return f"{PACKAGE} is not installed: pip install coremltools"
    return None


ENGINE = CoreMLEngine()
