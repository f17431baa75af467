"""Whether ONNX Runtime multiplies uint8 activations by int8 weights exactly on this CPU: asked by letting it do so.

On x86 without VNNI its kernels for this pair of types cut sums of two products off at 16 bits
(edgeformer_converters/onnx/pair_sums.py). Neither the system nor ONNX Runtime says which kernels it chose, on every
system and in every release; one product of the largest values shows it.
"""

from __future__ import annotations

import functools
import platform
from typing import Any

import numpy as np

from .protobuf import write_bytes, write_number

X86 = ("x86_64", "amd64", "i386", "i686", "x86")
_ROWS = (1, 4)  # one row alone has a kernel of its own
_INPUTS, _OUTPUTS = 64, 32
_UINT8, _INT8, _INT32 = 2, 3, 6  # of onnx.proto's TensorProto.DataType
_OPSET, _IR_VERSION = 13, 7


def int8_is_exact(ort: Any) -> bool:
    """Whether products of uint8 with int8 are exact in the module ``ort`` on this CPU; False where it can't tell."""
    return _int8_is_exact(ort, str(ort.__version__))


@functools.lru_cache(maxsize=None)
def _int8_is_exact(ort: Any, version: str) -> bool:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(_model(), sess_options=options, providers=["CPUExecutionProvider"])
        results = [session.run(None, {"x": np.full((rows, _INPUTS), 255, np.uint8)})[0] for rows in _ROWS]
    except Exception:  # ONNX Runtime's exceptions have no common base below Exception
        return False
    return all(bool((result == 255 * 127 * _INPUTS).all()) for result in results)


def has_faster_int8() -> bool:
    """Whether this kind of CPU may have faster kernels for int8 weights than for uint8 ones: those of Arm are one."""
    return platform.machine().lower() in X86


def _model() -> bytes:
    """y, int32 [rows, _OUTPUTS] = MatMulInteger(x, uint8 [rows, _INPUTS], 127 everywhere), as an ONNX file."""
    node = write_bytes(1, b"x") + write_bytes(1, b"w") + write_bytes(2, b"y") + write_bytes(4, b"MatMulInteger")
    weight = (
        write_number(1, _INPUTS)
        + write_number(1, _OUTPUTS)
        + write_number(2, _INT8)
        + write_bytes(8, b"w")
        + write_bytes(9, bytes([127]) * (_INPUTS * _OUTPUTS))
    )
    graph = (
        write_bytes(1, node)
        + write_bytes(2, b"probe")
        + write_bytes(5, weight)
        + write_bytes(11, _value(b"x", _UINT8, _INPUTS))
        + write_bytes(12, _value(b"y", _INT32, _OUTPUTS))
    )
    return write_number(1, _IR_VERSION) + write_bytes(7, graph) + write_bytes(8, write_number(2, _OPSET))


def _value(name: bytes, dtype: int, columns: int) -> bytes:
    """[rows, columns], rows being any number."""
    shape = write_bytes(1, write_bytes(2, b"rows")) + write_bytes(1, write_number(1, columns))
    return write_bytes(1, name) + write_bytes(2, write_bytes(1, write_number(1, dtype) + write_bytes(2, shape)))
