"""ONNX Runtime on the CPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple, Union

import numpy as np

from ..bundle.manifest import VariantEntry
from ..device.memory import inference_error, is_out_of_memory, load_error, release_unused
from ..errors import EngineError
from .base import Availability, LoadedModel, Say, to_stderr
from .kernels import KernelChoice, choose_kernels, register
from .onnx_files import check_single_file
from .onnx_products import has_faster_int8, smallest_exact_int8
from .onnx_signed import with_signed_weights
from .packages import cast_to, import_package, is_installed, package_version, version_problem

PACKAGE = "onnxruntime"
INSTALL = "pip install 'edgeformer-runtime[onnxruntime]'"

_DTYPES = {
    "tensor(bool)": "bool",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}


class OnnxRuntimeEngine:
    """Loads ONNX variants on the CPU.

    ``stop_spinning`` parks the worker threads after each run. Without it they keep a core busy for a while,
    which costs energy and falsifies the timing of every other model in the process. ``kernels``: native ones may
    run what the file defines portably.
    """

    name = "onnxruntime"

    def __init__(self, stop_spinning: bool = True, kernels: bool = True) -> None:
        self._stop_spinning = stop_spinning
        self._kernels = kernels

    def availability(self, variant: VariantEntry) -> Availability:
        """Is ONNX Runtime here, allowed by the variant, and new enough?"""
        found = find_onnxruntime(self.name, variant)[0]
        if not found.usable:
            return found
        return dataclasses.replace(found, detail="; ".join(choose_kernels(variant, found.version).notes) or None)

    def load(self, path: Path, variant: VariantEntry, threads: int, say: Say = to_stderr) -> LoadedModel:
        """Load an ONNX file with all graph optimizations; raises EngineError."""
        found, ort = find_onnxruntime(self.name, variant)
        if not found.usable:
            raise EngineError(f"variant {variant.name!r}: {found.reason}")
        check_single_file(path)
        options = session_options(ort, threads, self._stop_spinning)
        if variant.format == "tensorrt":
            # These QuantizeLinear pairs are for TensorRT's fusions. The CPU has none for float16 and would dequantize
            # every weight again in each run (four times slower); as ordinary operators they are folded once.
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        choice = choose_kernels(variant, found.version, path) if self._kernels else KernelChoice()
        kernels = register(options, choice)
        session = create_session(ort, _fastest_form(ort, path, variant), variant, options, ["CPUExecutionProvider"])
        release_unused()
        provider = f"CPUExecutionProvider, {kernels.isa} kernels" if kernels.isa else "CPUExecutionProvider"
        return OnnxModel(session, f"{PACKAGE} {found.version} ({provider})", kernels.notes)


class OnnxModel:
    """An ONNX Runtime session as a LoadedModel."""

    def __init__(self, session: Any, label: str, delegation: Tuple[str, ...]) -> None:
        self.label = label
        self.delegation = delegation
        self._session = session
        # An exporter may leave out an input that the graph never uses: these are the ones that it has.
        self._inputs = tuple((item.name, input_dtype(label, item)) for item in session.get_inputs())
        self._outputs = [item.name for item in session.get_outputs()]

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """One inference, from any number of threads at once; raises EngineError with ONNX Runtime's own message."""
        session = self._session  # a close meanwhile drops the model's reference, not this one
        if session is None:
            raise EngineError(f"{self.label}: the model is closed")
        values = {}
        for name, dtype in self._inputs:
            if name in feeds:
                array = feeds[name]
                values[name] = array if array.dtype == dtype else cast_to(name, array, dtype)
        try:
            results = session.run(self._outputs, values)
        except Exception as error:  # ONNX Runtime's exceptions have no common base below Exception
            raise inference_error(self.label, error, feeds) from error
        return dict(zip(self._outputs, results))

    def close(self) -> None:
        """Drop the session."""
        self._session = None


def input_dtype(label: str, item: Any) -> np.dtype:
    """numpy's dtype of a session's input; raises EngineError for one that the runtime has no arrays for."""
    if item.type not in _DTYPES:
        raise EngineError(
            f"{label}: input {item.name!r} is a {item.type}: expected one of {', '.join(_DTYPES)}. "
            "Compile the bundle again"
        )
    return np.dtype(_DTYPES[item.type])


def find_onnxruntime(engine: str, variant: VariantEntry) -> Tuple[Availability, Any]:
    """Whether ONNX Runtime can run ``variant``, and the imported module (None where it can't be imported)."""

    def no(reason: str, version: Optional[str] = None) -> Availability:
        return Availability(False, engine, PACKAGE, version, reason)

    if variant.engine_packages and PACKAGE not in variant.engine_packages:
        allowed = ", ".join(variant.engine_packages)
        return no(f"the variant gives right results only with {allowed}, not with {PACKAGE}"), None
    if not is_installed(PACKAGE):
        return no(f"{PACKAGE} is not installed: {INSTALL}"), None
    try:
        ort = import_package(PACKAGE)
    except EngineError as error:
        return no(f"{error}: install it again: {INSTALL}"), None
    if not hasattr(ort, "InferenceSession"):
        return no(f"{PACKAGE} is an empty folder of that name, not the package: {INSTALL}"), None
    version = package_version(ort, PACKAGE)
    # A TensorRT variant names the TensorRT that it needs; any ONNX Runtime can check its graph on the CPU.
    minimum = variant.min_engine_version if variant.engine == OnnxRuntimeEngine.name else None
    problem = version_problem(PACKAGE, version, minimum)
    if problem is not None:
        return no(f"{problem}: pip install --upgrade '{PACKAGE}>={variant.min_engine_version}'", version), ort
    return Availability(True, engine, PACKAGE, version), ort


def session_options(ort: Any, threads: int, stop_spinning: bool) -> Any:
    """Options shared by every execution provider."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors only: warnings about node placement are not the user's to act on
    if stop_spinning:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    # session.set_denormal_as_zero is left off: the first session of a process decides it for all of them, so
    # a library that set it would change the results of its host program.
    return options


def _fastest_form(ort: Any, path: Path, variant: VariantEntry) -> Union[Path, bytes]:
    """The file, or its content with weights as int8 where they are faster on this CPU, and exact."""
    has_integers = variant.format == "onnx" and any(variant.weight_formats)
    smallest = smallest_exact_int8(ort) if has_integers and has_faster_int8() else None
    return path if smallest is None else with_signed_weights(path, smallest) or path


def create_session(ort: Any, model: Union[Path, bytes], variant: VariantEntry, options: Any, providers: Any) -> Any:
    """An InferenceSession of a file or its content, or EngineError with the cause."""
    source = model if isinstance(model, bytes) else str(model)
    try:
        return ort.InferenceSession(source, sess_options=options, providers=providers)
    except Exception as error:
        if is_out_of_memory(error):
            raise load_error(f"{PACKAGE} {ort.__version__}", variant) from error
        raise EngineError(
            f"variant {variant.name!r}: {PACKAGE} {ort.__version__} can't load {Path(variant.path).name}: {error}"
        ) from error


ENGINE = OnnxRuntimeEngine()
