"""Which parts of a variant the native kernels run (wheel ``edgeformer-kernels``).

A model with local attention, or with 4-bit linear layers, holds a portable definition of them and runs anywhere. A
session that registers the kernel library takes the kernels instead, and can't go back: what a kernel refuses then
fails. So the library is registered only where this CPU, this ONNX Runtime and all that the variant says of its local
attention are covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Tuple

from ..bundle.manifest import VariantEntry
from ..bundle.needs import LocalAttentionNeeds
from ..errors import EngineError
from .onnx_files import function_names
from .packages import import_package, is_installed, package_version, version_problem

PACKAGE = "edgeformer_kernels"
DISTRIBUTION = "edgeformer-kernels"
_ATTENTION, _LINEAR = "local attention", "4-bit linear layers"
_LINEAR_FUNCTIONS = {"QuantizedLinear4", "RowScaledLinear4"}
_LINEAR_VERSION = 1


@dataclass(frozen=True)
class KernelChoice:
    """The library to register, if any, and what to say of it in reports."""

    library: Optional[Path] = None
    isa: Optional[str] = None  # "AVX512", "AVX2", "NEON"; None exactly when library is
    notes: Tuple[str, ...] = ()  # one for each part that a kernel could run


def choose_kernels(
    variant: VariantEntry, onnxruntime_version: Optional[str], path: Optional[Path] = None
) -> KernelChoice:
    """What runs ``variant``'s local attention and 4-bit linear layers in an ONNX Runtime of that version; never raises.

    ``path``: its file, which tells whether linear layers are functions; without it the manifest's formats do.
    """
    parts = _parts(variant, path)
    if not parts:
        return KernelChoice()
    if not is_installed(PACKAGE):
        return _portable(parts, f"{DISTRIBUTION} is not installed")
    try:
        kernels = import_package(PACKAGE)
        library, isa = kernels.library_path(), kernels.isa()
        name = f"{DISTRIBUTION} {package_version(kernels, DISTRIBUTION)}"
        problem = _problem(kernels, variant.local_attention, isa, onnxruntime_version)
        if problem is not None:
            return _portable(parts, f"{name} {problem}")
        linear_isa, linear_problem = _linear(kernels)
    except EngineError as error:
        return _portable(parts, str(error))
    # Loading a native library fails in many ways, and so does a package of that name that isn't ours.
    except Exception as error:
        return _portable(parts, f"{DISTRIBUTION} doesn't load ({type(error).__name__}: {error})")
    notes: List[str] = []
    if variant.local_attention is not None:
        notes.append(f"{_ATTENTION}: fused kernel, version {variant.local_attention.kernel_version}, {isa} ({name})")
    if _LINEAR in parts and linear_problem is None:
        notes.append(
            f"{_LINEAR}: kernel, version {_LINEAR_VERSION}, {linear_isa}, 8-bit activations with a scale a row ({name})"
        )
    elif _LINEAR in parts:
        notes.append(f"{_LINEAR}: portable body: {name} {linear_problem}")
    if variant.local_attention is None and linear_problem is not None:
        return KernelChoice(notes=tuple(notes))
    return KernelChoice(library, isa if variant.local_attention is not None else linear_isa, tuple(notes))


def register(options: Any, choice: KernelChoice) -> KernelChoice:
    """Add the chosen library to a session's options; what was really registered."""
    if choice.library is None:
        return choice
    try:
        options.register_custom_ops_library(str(choice.library))
    except Exception as error:  # ONNX Runtime's exceptions have no common base below Exception
        parts = [note.split(":")[0] for note in choice.notes]
        return _portable(parts, f"ONNX Runtime refused {choice.library.name}: {error}")
    return choice


def _parts(variant: VariantEntry, path: Optional[Path]) -> List[str]:
    """What of the variant a kernel could run."""
    parts = [_ATTENTION] if variant.local_attention is not None else []
    four_bits = any(text.startswith("int4") and "block" not in text for text in variant.weight_formats)
    if variant.format == "onnx" and four_bits and (path is None or _LINEAR_FUNCTIONS & function_names(path)):
        parts.append(_LINEAR)
    return parts


def _portable(parts: List[str], reason: str) -> KernelChoice:
    return KernelChoice(notes=tuple(f"{part}: portable body: {reason}" for part in parts))


def _linear(kernels: Any) -> Tuple[Optional[str], Optional[str]]:
    """The instruction set of the linear layers' kernel, and why the portable body runs instead; one of them is None."""
    if not hasattr(kernels, "linear_isa") or kernels.linear_version() < _LINEAR_VERSION:
        return None, f"has no such kernel: pip install --upgrade {DISTRIBUTION}"
    isa = kernels.linear_isa()
    if isa is None:
        return None, "has none that is faster on this CPU: expected AVX2 without VNNI, or NEON without I8MM"
    return isa, None


def _problem(
    kernels: Any, needs: Optional[LocalAttentionNeeds], isa: Optional[str], onnxruntime_version: Optional[str]
) -> Optional[str]:
    """Why the library can't be registered for the variant; None when it can."""
    if isa is None:
        return "doesn't cover this CPU: expected AVX2 with FMA and F16C, AVX512, or NEON"
    problem = version_problem("onnxruntime", onnxruntime_version, kernels.MIN_ONNXRUNTIME)
    if problem is not None or needs is None:
        return problem
    version, newest = needs.kernel_version, kernels.local_attention_version()
    if not 1 <= version <= newest:
        return f"has version {newest} of the kernel, the variant needs {version}: pip install --upgrade {DISTRIBUTION}"
    if needs.dtype not in kernels.DTYPES:
        return f"covers {' and '.join(kernels.DTYPES)}, the variant has {needs.dtype}"
    if not needs.head_dims:
        return "can't tell the variant's head sizes: local_attention.head_dims is empty"
    for size in needs.head_dims:
        if not 1 <= size <= kernels.MAX_HEAD_DIM:
            return f"covers heads of up to {kernels.MAX_HEAD_DIM} numbers, the variant has {size}"
    return None
