"""Elementwise MIL operations in numpy, named and parametrised as in the MIL operation reference.

Arrays are float32, int32, the small integer types, or bool; two operands are broadcast as numpy does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..base import ExportError

Array = NDArray[Any]

_TYPES: Mapping[str, type[np.generic]] = {
    "fp16": np.float32,  # float maths is float32 throughout; the evaluator rounds results if asked to
    "fp32": np.float32,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "bool": np.bool_,
}


def cast(x: Array, dtype: str) -> Array:
    """Convert to the MIL type ``dtype``: float to integer truncates towards zero, to bool is ``x != 0``."""
    if dtype not in _TYPES:
        raise ExportError(f"coreml evaluator: cast to {dtype!r}: expected one of {', '.join(_TYPES)}")
    converted: Array = np.asarray(x).astype(_TYPES[dtype], copy=False)
    return converted


def real_div(x: Array, y: Array) -> Array:
    """x / y; of integers the quotient without its fraction, as the result keeps the operands' type."""
    if np.issubdtype(np.result_type(x, y), np.integer):
        return np.asarray(np.trunc(np.true_divide(x, y)).astype(np.result_type(x, y)))
    return np.asarray(np.true_divide(x, y))


def select(cond: Array, a: Array, b: Array) -> Array:
    """``a`` where ``cond`` holds, else ``b``."""
    return np.where(cond, a, b)


def clip(x: Array, alpha: float, beta: float) -> Array:
    """Limit to [alpha, beta]."""
    return np.asarray(np.minimum(np.maximum(x, alpha), beta))


def erf(x: Array) -> Array:
    """The error function."""
    flat = np.array(x, np.float32, copy=None, ndmin=1)
    return np.asarray(torch.special.erf(torch.from_numpy(flat)).numpy()).reshape(np.shape(x))


def gelu(x: Array, mode: str = "EXACT") -> Array:
    """Gaussian error linear unit (Hendrycks & Gimpel 2016) in one of MIL's three forms."""
    if mode == "EXACT":
        result = erf(x * np.float32(1 / math.sqrt(2)))
        result += np.float32(1)
    elif mode == "TANH_APPROXIMATION":
        result = np.tanh(np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x))
        result += np.float32(1)
    else:
        return x * sigmoid(np.float32(1.702) * x)
    result *= x
    result *= np.float32(0.5)
    return result


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written with tanh so that no exponential overflows."""
    half = np.float32(0.5)
    return half * np.tanh(half * x) + half


def silu(x: Array) -> Array:
    """x * sigmoid(x)."""
    return x * sigmoid(x)


def softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    return np.logaddexp(x, np.float32(0))


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return np.maximum(x, np.float32(0))


def relu6(x: Array) -> Array:
    """min(max(x, 0), 6)."""
    return clip(x, 0, 6)


def leaky_relu(x: Array, alpha: float = 0.01) -> Array:
    """x where positive, else alpha * x."""
    return np.where(x >= 0, x, x * np.float32(alpha))


def elu(x: Array, alpha: float = 1.0) -> Array:
    """x where positive, else alpha * (exp(x) - 1)."""
    return np.where(x > 0, x, np.float32(alpha) * np.expm1(np.minimum(x, 0)))


def inverse(x: Array, epsilon: float = 1e-4) -> Array:
    """1 / (x + epsilon)."""
    return np.float32(1) / (x + np.float32(epsilon))


def log(x: Array, epsilon: float = 1e-45) -> Array:
    """Natural logarithm of x + epsilon."""
    return np.log(x + np.float32(epsilon))


def rsqrt(x: Array, epsilon: float = 1e-12) -> Array:
    """1 / sqrt(x + epsilon)."""
    return np.float32(1) / np.sqrt(x + np.float32(epsilon))


def power(x: Array, y: Array) -> Array:
    """x to the power y."""
    return np.power(x, y)


def identity(x: Array) -> Array:
    """x itself."""
    return x


def _unary(function: Callable[[Array], Array]) -> Callable[..., Array]:
    """A numpy function of one array under MIL's argument name."""
    return lambda x: function(x)


def _binary(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    """A numpy function of two arrays under MIL's argument names."""
    return lambda x, y: function(x, y)


OPERATIONS: Mapping[str, Callable[..., Array]] = {
    "abs": _unary(np.abs),
    "add": _binary(np.add),
    "cast": cast,
    "ceil": _unary(np.ceil),
    "clip": clip,
    "cos": _unary(np.cos),
    "elu": elu,
    "equal": _binary(np.equal),
    "erf": erf,
    "exp": _unary(np.exp),
    "exp2": _unary(np.exp2),
    "floor": _unary(np.floor),
    "floor_div": _binary(np.floor_divide),
    "gelu": gelu,
    "greater": _binary(np.greater),
    "greater_equal": _binary(np.greater_equal),
    "identity": identity,
    "inverse": inverse,
    "leaky_relu": leaky_relu,
    "less": _binary(np.less),
    "less_equal": _binary(np.less_equal),
    "log": log,
    "logical_and": _binary(np.logical_and),
    "logical_not": _unary(np.logical_not),
    "logical_or": _binary(np.logical_or),
    "logical_xor": _binary(np.logical_xor),
    "maximum": _binary(np.maximum),
    "minimum": _binary(np.minimum),
    "mod": _binary(np.mod),
    "mul": _binary(np.multiply),
    "not_equal": _binary(np.not_equal),
    "pow": power,
    "real_div": real_div,
    "relu": relu,
    "relu6": relu6,
    "round": _unary(np.round),
    "rsqrt": rsqrt,
    "select": select,
    "sigmoid": sigmoid,
    "sign": _unary(np.sign),
    "silu": silu,
    "sin": _unary(np.sin),
    "softplus": softplus,
    "sqrt": _unary(np.sqrt),
    "square": _unary(np.square),
    "sub": _binary(np.subtract),
    "tanh": _unary(np.tanh),
}
