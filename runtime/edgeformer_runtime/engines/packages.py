"""Finding an engine's Python package and its version, without letting a broken installation stop the
program.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from importlib import metadata
from types import ModuleType
from typing import Optional, Tuple

import numpy as np

from ..errors import EngineError

# ONNX Runtime's Linux wheels keep an identifier of the device and a queue of events in the home directory, and send it
# where there is a network. A device that says nothing of this must not do it; who wants it sets the variable to 0.
_QUIET = {"onnxruntime": ("ORT_DISABLE_TELEMETRY", "1")}


def is_installed(package: str) -> bool:
    """Whether ``package`` (an import name) can be found; nothing is imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def import_package(package: str) -> ModuleType:
    """Import ``package``; raises EngineError, with the cause, when it is there and can't be imported.

    ONNX Runtime's telemetry is off, unless the environment or an earlier import says otherwise: it is read only then.
    """
    if package in _QUIET:
        os.environ.setdefault(*_QUIET[package])
    try:
        return importlib.import_module(package)
    # Native packages fail in many ways: a missing library, another numpy's ABI, an unsupported CPU
    # instruction.
    except Exception as error:
        raise EngineError(f"{package} is installed and fails to import ({type(error).__name__}: {error})") from error


def package_version(module: ModuleType, distribution: str) -> Optional[str]:
    """What the module says of itself, else what its distribution says; None when neither says anything."""
    version = getattr(module, "__version__", None)
    if isinstance(version, str):
        return version
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def version_tuple(version: str) -> Tuple[int, ...]:
    """The leading numbers of a version: "1.16.0+nv24.1" is (1, 16, 0)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def version_problem(package: str, version: Optional[str], minimum: Optional[str]) -> Optional[str]:
    """Why ``version`` is not enough for a variant that wants ``minimum``; None when it is."""
    if minimum is None:
        return None
    if version is None:
        return f"needs {package} {minimum} or newer, and the version of the one installed is unknown"
    if version_tuple(version) < version_tuple(minimum):
        return f"needs {package} {minimum} or newer, got {version}"
    return None


def cast_to(name: str, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """``array`` in the dtype of the model file; raises EngineError when an integer doesn't fit it."""
    if array.dtype == dtype:
        return array
    cast = array.astype(dtype)
    if array.dtype.kind in "iu" and dtype.kind in "iu" and (cast != array).any():
        raise EngineError(
            f"input {name!r}: values from {array.min()} to {array.max()} don't fit the file's {dtype}: "
            "expected smaller integers"
        )
    return cast
