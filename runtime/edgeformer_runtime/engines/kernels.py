"""Whether the native kernels (wheel ``edgeformer-kernels``) run a variant's local attention.

A model with local attention holds a portable definition of it and runs anywhere. A session that registers the kernel
library takes the kernel instead, and can't go back: what the kernel refuses then fails. So the library is registered
only where this CPU, this ONNX Runtime and all that the variant says of its local attention are covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ..bundle.manifest import VariantEntry
from ..bundle.needs import LocalAttentionNeeds
from ..errors import EngineError
from .packages import import_package, is_installed, package_version, version_problem

PACKAGE = "edgeformer_kernels"
DISTRIBUTION = "edgeformer-kernels"


@dataclass(frozen=True)
class KernelChoice:
    """The library to register, if any, and what to say of it in reports."""

    library: Optional[Path] = None
    isa: Optional[str] = None  # "AVX512", "AVX2", "NEON"; None exactly when library is
    note: Optional[str] = None  # None where the variant has no local attention


def choose_kernels(variant: VariantEntry, onnxruntime_version: Optional[str]) -> KernelChoice:
    """What runs ``variant``'s local attention in an ONNX Runtime of that version; never raises."""
    needs = variant.local_attention
    if needs is None:
        return KernelChoice()
    if not is_installed(PACKAGE):
        return _portable(f"{DISTRIBUTION} is not installed")
    try:
        kernels = import_package(PACKAGE)
        library, isa, newest = kernels.library_path(), kernels.isa(), kernels.local_attention_version()
        name = f"{DISTRIBUTION} {package_version(kernels, DISTRIBUTION)}"
        problem = _problem(kernels, needs, isa, newest, onnxruntime_version)
    except EngineError as error:
        return _portable(str(error))
    # Loading a native library fails in many ways, and so does a package of that name that isn't ours.
    except Exception as error:
        return _portable(f"{DISTRIBUTION} doesn't load ({type(error).__name__}: {error})")
    if problem is not None:
        return _portable(f"{name} {problem}")
    version = needs.kernel_version
    return KernelChoice(library, isa, f"local attention: fused kernel, version {version}, {isa} ({name})")


def register(options: Any, choice: KernelChoice) -> KernelChoice:
    """Add the chosen library to a session's options; what was really registered."""
    if choice.library is None:
        return choice
    try:
        options.register_custom_ops_library(str(choice.library))
    except Exception as error:  # ONNX Runtime's exceptions have no common base below Exception
        return _portable(f"ONNX Runtime refused {choice.library.name}: {error}")
    return choice


def _portable(reason: str) -> KernelChoice:
    return KernelChoice(note=f"local attention: portable body: {reason}")


def _problem(
    kernels: Any, needs: LocalAttentionNeeds, isa: Optional[str], newest: int, onnxruntime_version: Optional[str]
) -> Optional[str]:
    """Why the kernel doesn't cover the variant; None when it does."""
    if isa is None:
        return "doesn't cover this CPU: expected AVX2 with FMA and F16C, AVX512, or NEON"
    problem = version_problem("onnxruntime", onnxruntime_version, kernels.MIN_ONNXRUNTIME)
    if problem is not None:
        return problem
    version = needs.kernel_version
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
