"""Which int8 weights ONNX Runtime multiplies by uint8 activations exactly on this CPU: asked by letting it do so.

On x86 without VNNI its kernels for this pair of types cut sums of two products off at 16 bits
(edgeformer_converters/onnx/pair_sums.py), on Arm without the dot product they overflow for a weight of -128 alone.
Neither the system nor ONNX Runtime says which kernels it chose, on every system and in every release; products of the
extreme values show it.
"""

from __future__ import annotations

import functools
from typing import Any, Optional

import numpy as np

from ..device.facts import probe
from .protobuf import write_bytes, write_number

_ROWS = (1, 4)  # one row alone has a kernel of its own
_INPUTS = 64
_WEIGHTS = np.repeat(np.array([127, -127, -128], np.int8), 16)  # a column each
_UINT8, _INT8, _INT32 = 2, 3, 6  # of onnx.proto's TensorProto.DataType
_OPSET, _IR_VERSION = 13, 7


def smallest_exact_int8(ort: Any) -> Optional[int]:
    """-128 where every int8 weight is exact in the module ``ort`` on this CPU, -127 where -128 alone isn't, None where
    others aren't, either, or where it can't tell.
    """
    return _smallest_exact(ort, str(ort.__version__))


@functools.lru_cache(maxsize=None)
def _smallest_exact(ort: Any, version: str) -> Optional[int]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    right = np.ones(_WEIGHTS.shape, bool)
    try:
        session = ort.InferenceSession(_model(), sess_options=options, providers=["CPUExecutionProvider"])
        for rows in _ROWS:
            for value in (0, 255):
                result = session.run(None, {"x": np.full((rows, _INPUTS), value, np.uint8)})[0]
                right &= (result == value * _INPUTS * _WEIGHTS.astype(np.int64)).all(axis=0)
    except Exception:  # ONNX Runtime's exceptions have no common base below Exception
        return None
    if not right[_WEIGHTS >= -127].all():
        return None
    return -128 if right.all() else -127


def has_faster_int8() -> bool:
    """Whether this CPU may have faster kernels for int8 weights than for uint8 ones.

    Arm with the dot product takes as many instructions for either, a Cortex-A72 1.5 times as many for uint8.
    """
    return "asimddp" not in probe().cpu_features


def _model() -> bytes:
    """An ONNX file: y, int32 [rows, columns] = MatMulInteger(x, w), x uint8 [rows, _INPUTS], rows of w all _WEIGHTS."""
    node = write_bytes(1, b"x") + write_bytes(1, b"w") + write_bytes(2, b"y") + write_bytes(4, b"MatMulInteger")
    weight = (
        write_number(1, _INPUTS)
        + write_number(1, _WEIGHTS.size)
        + write_number(2, _INT8)
        + write_bytes(8, b"w")
        + write_bytes(9, _WEIGHTS.tobytes() * _INPUTS)
    )
    graph = (
        write_bytes(1, node)
        + write_bytes(2, b"probe")
        + write_bytes(5, weight)
        + write_bytes(11, _value(b"x", _UINT8, _INPUTS))
        + write_bytes(12, _value(b"y", _INT32, _WEIGHTS.size))
    )
    return write_number(1, _IR_VERSION) + write_bytes(7, graph) + write_bytes(8, write_number(2, _OPSET))


def _value(name: bytes, dtype: int, columns: int) -> bytes:
    """[rows, columns], rows being any number."""
    shape = write_bytes(1, write_bytes(2, b"rows")) + write_bytes(1, write_number(1, columns))
    return write_bytes(1, name) + write_bytes(2, write_bytes(1, write_number(1, dtype) + write_bytes(2, shape)))
