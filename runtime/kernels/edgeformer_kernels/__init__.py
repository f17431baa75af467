"""Fused operators for ONNX Runtime's CPU provider.

``library_path()`` goes to ``SessionOptions.register_custom_ops_library``. Ask ``isa()`` first: on a CPU that isn't
covered the operators' portable definition inside the model is faster, and registering is refused.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from pathlib import Path
from typing import Optional

__all__ = [
    "DTYPES",
    "MAX_HEAD_DIM",
    "MIN_ONNXRUNTIME",
    "isa",
    "library_path",
    "linear_isa",
    "linear_version",
    "local_attention_version",
]

__version__ = "0.1.0"

MIN_ONNXRUNTIME = "1.17"  # the first whose C API lends its threads to operators
DTYPES = ("float32", "float16")  # of query, key and value; sums are float32
MAX_HEAD_DIM = 256  # what is tested; larger ones work and lose the caches


def library_path() -> Path:
    """The shared library; raises ImportError when it isn't there (a source folder instead of an installed wheel)."""
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    folder = Path(__file__).parent
    for name in (f"libedgeformer_kernels{suffix}", "libedgeformer_kernels.so"):
        if (folder / name).is_file():
            return folder / name
    raise ImportError(
        f"no libedgeformer_kernels{suffix} in {folder}: install the wheel: pip install edgeformer-kernels"
    )


@functools.lru_cache(maxsize=None)
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path()))
    for name in ("isa", "linear_isa"):
        getattr(library, f"edgeformer_kernels_{name}").restype = ctypes.c_char_p
    for name in ("local_attention_version", "linear_version"):
        getattr(library, f"edgeformer_kernels_{name}").restype = ctypes.c_int
    return library


def isa() -> Optional[str]:
    """The instruction set chosen on this CPU: "AVX512", "AVX2" or "NEON"; None when it isn't covered."""
    name: bytes = _library().edgeformer_kernels_isa()
    return name.decode() or None


def local_attention_version() -> int:
    """The newest version of ``ai.edgeformer::LocalAttention`` in the library."""
    return int(_library().edgeformer_kernels_local_attention_version())


def linear_isa() -> Optional[str]:
    """The instruction set of ``ai.edgeformer::QuantizedLinear4`` on this CPU; None where its portable body runs."""
    name: bytes = _library().edgeformer_kernels_linear_isa()
    return name.decode() or None


def linear_version() -> int:
    """The newest version of ``ai.edgeformer::QuantizedLinear4`` in the library."""
    return int(_library().edgeformer_kernels_linear_version())
