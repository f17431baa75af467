"""LiteRT (TensorFlow Lite) with XNNPACK on the CPU, from whichever of its packages is installed and right."""

from __future__ import annotations

import importlib
import threading
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np

from ..bundle.manifest import VariantEntry
from ..device.memory import inference_error, is_out_of_memory, load_error
from ..errors import EngineError
from .base import Availability, LoadedModel, Say, to_stderr
from .packages import cast_to, import_package, is_installed, package_version, version_problem

INSTALL = "pip install 'edgeformer-runtime[litert]'"

_IDENTIFIER = b"TFL3"  # of a TensorFlow Lite flatbuffer, after the four bytes that point at its root

_MAX_KNOWN_SHAPES = 64

# Preferred first: import name -> (module that holds Interpreter, distribution).
PACKAGES: Dict[str, Tuple[str, str]] = {
    "ai_edge_litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tensorflow": ("tensorflow.lite.python.interpreter", "tensorflow"),
    "tflite_runtime": ("tflite_runtime.interpreter", "tflite-runtime"),
}


class LiteRTEngine:
    """Loads .tflite variants.

    Not every package runs every file rightly: tflite_runtime silently returns wrong numbers for per-channel
    dynamic quantization. So a variant lists the packages that do (``engine_packages``), and no other is used
    for it.
    """

    name = "litert"

    def availability(self, variant: VariantEntry) -> Availability:
        """Is one of the variant's packages here, and new enough?"""
        return _find(variant)

    def load(self, path: Path, variant: VariantEntry, threads: int, say: Say = to_stderr) -> LoadedModel:
        """Load a .tflite file with XNNPACK; raises EngineError."""
        found = _find(variant)
        if not found.usable or found.package is None:
            raise EngineError(f"variant {variant.name!r}: {found.reason}")
        label = f"{found.package} {found.version} (CPU)"
        _check_identifier(path)
        try:
            module = importlib.import_module(PACKAGES[found.package][0])
            interpreter = module.Interpreter(model_path=str(path), num_threads=threads)
            return LiteRTModel(interpreter, label)
        except EngineError:
            raise
        except Exception as error:  # ValueError, RuntimeError and ImportError, by package and kind of failure
            if is_out_of_memory(error):
                raise load_error(label, variant) from error
            raise EngineError(
                f"variant {variant.name!r}: {label} can't load {path.name}: {str(error).strip()}"
            ) from error


class LiteRTModel:
    """An interpreter with one signature a sequence length, as a LoadedModel."""

    def __init__(self, interpreter: Any, label: str) -> None:
        self.label = label
        self.delegation: Tuple[str, ...] = ()  # known after the first run, when the operators are prepared
        self._interpreter = interpreter
        self._lock = threading.Lock()  # an interpreter runs one inference at a time
        self._signatures: List[_Signature] = [
            _Signature(key, interpreter.get_signature_runner(key)) for key in interpreter.get_signature_list()
        ]
        self._by_shapes: Dict[Tuple[Tuple[str, Tuple[int, ...]], ...], _Signature] = {}
        if not self._signatures:
            raise EngineError(f"{label}: the file has no signature: expected one a sequence length, like 'seq64'")

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """One inference by the signature whose shapes are those of ``feeds``; raises EngineError.

        Calls from several threads wait for each other, and so does ``close``.
        """
        with self._lock:
            signature = self._matching(feeds)
            values = signature.cast(feeds)
            try:
                results: Dict[str, np.ndarray] = signature.runner(**values)
            except (ValueError, RuntimeError, TypeError, MemoryError) as error:
                raise inference_error(self.label, error, feeds) from error
            self.delegation = self.delegation or _delegation(self._interpreter)
        return results

    def close(self) -> None:
        """Drop the interpreter, after the inference that may be running."""
        with self._lock:
            self._by_shapes = {}
            self._signatures = []
            self._interpreter = None

    def _matching(self, feeds: Mapping[str, np.ndarray]) -> _Signature:
        shapes = tuple([(name, array.shape) for name, array in feeds.items()])
        known = self._by_shapes.get(shapes)
        if known is not None:
            return known
        if not self._signatures:
            raise EngineError(f"{self.label}: the model is closed")
        for signature in self._signatures:
            if signature.takes(feeds):
                if len(self._by_shapes) < _MAX_KNOWN_SHAPES:
                    self._by_shapes[shapes] = signature
                return signature
        got = {name: list(array.shape) for name, array in feeds.items()}
        has = "; ".join(f"{signature.key}: {signature.shapes}" for signature in self._signatures)
        raise EngineError(f"{self.label}: no signature takes {got}: the file has {has}")


def _check_identifier(path: Path) -> None:
    """Refuse what is no TFLite file: some releases don't raise an error for one, they crash the process."""
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:] != _IDENTIFIER:
        raise EngineError(f"can't load {path.name}: expected {_IDENTIFIER!r} at byte 4, got {head[4:]!r}")


def _delegation(interpreter: Any) -> Tuple[str, ...]:
    """Whether XNNPACK, which is asked for by default, took operators of a model that has run."""
    list_operators = getattr(interpreter, "_get_ops_details", None)  # not public, and the only way to know
    if list_operators is None:
        return ("this package doesn't tell whether XNNPACK was used",)
    if any(operator["op_name"] == "DELEGATE" for operator in list_operators()):
        return ("XNNPACK took operators of this model",)
    return ("XNNPACK took no operator: the slower built-in kernels run",)


class _Signature:
    """One entry point of the file: a static shape an input. -1 is a dimension of any size."""

    def __init__(self, key: str, runner: Any) -> None:
        self.key = key
        self.runner = runner
        details = runner.get_input_details()
        self.shapes = {name: [int(size) for size in item["shape_signature"]] for name, item in details.items()}
        self._dtypes = {name: np.dtype(item["dtype"]) for name, item in details.items()}

    def takes(self, feeds: Mapping[str, np.ndarray]) -> bool:
        # A converter drops an input that the model never uses, so feeds may have more names than the file.
        return all(name in feeds and _fits(feeds[name].shape, shape) for name, shape in self.shapes.items())

    def cast(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        values = {}
        for name, dtype in self._dtypes.items():
            array = feeds[name]
            values[name] = array if array.dtype == dtype else cast_to(name, array, dtype)
        return values


def _fits(shape: Tuple[int, ...], wanted: List[int]) -> bool:
    return len(shape) == len(wanted) and all(wanted[axis] in (-1, size) for axis, size in enumerate(shape))


def _find(variant: VariantEntry) -> Availability:
    """The first package that is allowed, installed, importable and new enough; else why each was not
    taken.
    """
    allowed = [name for name in PACKAGES if not variant.engine_packages or name in variant.engine_packages]
    problems: List[str] = []
    for package in allowed:
        if not is_installed(package):
            problems.append(f"{package} is not installed")
            continue
        try:
            module = import_package(package)
            import_package(PACKAGES[package][0])  # installed without its interpreter, it is of no use
        except EngineError as error:
            problems.append(str(error))
            continue
        version = package_version(module, PACKAGES[package][1])
        problem = version_problem(package, version, variant.min_engine_version)
        if problem is None:
            return Availability(True, LiteRTEngine.name, package, version)
        problems.append(problem)
    for package in PACKAGES:
        if package not in allowed and is_installed(package):
            problems.append(f"{package} is installed, and gives wrong results for this variant")
    return Availability(False, LiteRTEngine.name, reason=f"{'; '.join(problems)}: {_advice(allowed)}")


def _advice(allowed: List[str]) -> str:
    if not allowed or "ai_edge_litert" in allowed:
        return INSTALL
    return f"pip install {PACKAGES[allowed[0]][1]}"


ENGINE = LiteRTEngine()
