"""Which operators the ONNX parser of a TensorRT release takes, with which types: a table of facts, and the
check.

Source: docs/operators.md of https://github.com/onnx/onnx-tensorrt at tags release/8.2-GA, release/8.5-GA and
release/10.1-GA (which is taken for every later 10.x as well). Types of the first input, as that page lists
them.
"""

from __future__ import annotations

import onnx_ir as ir

from ..base import ExportError

# operators by the types that they take
SUPPORTED: dict[str, dict[str, str]] = {
    "8.2": {
        "FP32 FP16": (
            "Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh BatchNormalization Ceil Celu Cos Cosh "
            "CumSum Dropout Einsum Erf Exp Floor GRU ImageScaler InstanceNormalization Log LogSoftmax "
            "LRN LSTM LpNormalization MatMul NonMaxSuppression Pow QuantizeLinear RandomUniform "
            "RandomUniformLike ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean "
            "ReduceMin ReduceProd ReduceSum ReduceSumSquare Resize ReverseSequence RNN Scan Sin Sinh "
            "Softmax Sqrt Tan TopK Upsample"
        ),
        "FP32 FP16 INT8": (
            "Clip Conv ConvTranspose Elu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool HardSigmoid "
            "LeakyRelu LpPool MaxPool ParametricSoftplus PRelu Relu Round ScaledTanh Selu Sigmoid "
            "Softplus Softsign Tanh ThresholdedRelu"
        ),
        "FP32 FP16 INT32": (
            "Abs Add DepthToSpace Div Equal Greater GreaterOrEqual IsNaN Less LessOrEqual Max Mean Min "
            "Mul Neg Range SpaceToDepth Sub Sum"
        ),
        "FP32 FP16 INT8 INT32 BOOL": (
            "Cast Concat Constant Identity Reshape Shape Size Slice Squeeze Transpose Unsqueeze"
        ),
        "FP32 FP16 INT8 INT32": (
            "AveragePool Gather GatherElements GatherND Pad Scatter ScatterElements ScatterND Sign"
        ),
        "FP32 FP16 INT32 BOOL": "Expand EyeLike Flatten If Loop Split Tile Where",
        "BOOL": "And Not Or",
        "FP32": "ConstantOfShape",
        "INT8": "DequantizeLinear",
    },
    "8.5": {
        "FP32 FP16": (
            "Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh BatchNormalization Ceil Celu Cos Cosh "
            "CumSum Dropout Einsum Erf Exp Floor GridSample GRU ImageScaler InstanceNormalization Log "
            "LogSoftmax LRN LSTM LpNormalization MatMul MeanVarianceNormalization NonMaxSuppression "
            "NonZero Pow QuantizeLinear RandomNormal RandomNormalLike RandomUniform RandomUniformLike "
            "Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin "
            "ReduceProd ReduceSum ReduceSumSquare Resize ReverseSequence RNN RoiAlign Scan Sin Sinh "
            "Softmax Sqrt Tan TopK Upsample"
        ),
        "FP32 FP16 INT8": (
            "Clip Conv ConvTranspose Elu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool HardSigmoid "
            "LeakyRelu LpPool MaxPool ParametricSoftplus PRelu Relu Round ScaledTanh Selu Sigmoid "
            "Softplus Softsign Tanh ThresholdedRelu"
        ),
        "FP32 FP16 INT32": (
            "Abs Add DepthToSpace Div Equal Greater GreaterOrEqual IsNaN Less LessOrEqual Max Mean Min "
            "Mul Neg Range Shrink SpaceToDepth Sub Sum"
        ),
        "FP32 FP16 INT8 INT32 BOOL": (
            "Cast Concat Constant Gather GatherElements GatherND Identity Reshape Shape Size Slice "
            "Squeeze Transpose Trilu Unsqueeze"
        ),
        "FP32 FP16 INT32 BOOL": "Expand EyeLike Flatten If Loop Split Tile Where",
        "FP32 FP16 INT8 INT32": "AveragePool Pad Scatter ScatterElements ScatterND Sign",
        "BOOL": "And Not Or Xor",
        "FP32": "ConstantOfShape",
        "INT8": "DequantizeLinear",
    },
    "10.1": {
        "FP32 FP16 BF16": (
            "Acos Acosh Asin Asinh Atan Atanh AveragePool BatchNormalization Ceil Celu Clip Conv "
            "ConvTranspose Cos Cosh CumSum Dropout Einsum Elu Erf Exp Floor Gemm GlobalAveragePool "
            "GlobalLpPool GlobalMaxPool GroupNormalization GRU HardSigmoid HardSwish Hardmax "
            "ImageScaler InstanceNormalization IsInf LayerNormalization LeakyRelu Log LogSoftmax LRN "
            "LSTM LpNormalization LpPool MatMul MaxPool MeanVarianceNormalization ParametricSoftplus "
            "Pow PRelu QuantizeLinear RandomNormal RandomNormalLike RandomUniform RandomUniformLike "
            "Reciprocal Resize RNN Round ScaledTanh Scan Selu Sigmoid Sin Sinh Softmax Softplus "
            "Softsign Sqrt Tan Tanh ThresholdedRelu Upsample"
        ),
        "FP32 FP16 BF16 INT32 INT64": (
            "Abs Add ArgMax ArgMin DepthToSpace Div Equal Greater GreaterOrEqual IsNaN Less LessOrEqual "
            "Max Min Mod Mul Neg Pad Range ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax "
            "ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Scatter ScatterElements "
            "ScatterND Shrink Sign SpaceToDepth Sub Sum TopK"
        ),
        "FP32 FP16 BF16 INT32 INT64 BOOL": (
            "Concat Constant ConstantOfShape Expand EyeLike Flatten Gather GatherElements GatherND "
            "Identity If Loop OneHot Reshape ReverseSequence Shape Size Slice Split Squeeze Tile "
            "Transpose Trilu Unsqueeze Where"
        ),
        "FP32 FP16": "DeformConv GridSample Mish NonMaxSuppression NonZero RoiAlign",
        "BOOL": "And Not Or Xor",
        "FP32 FP16 BF16 UINT8 INT32 INT64 BOOL": "Cast CastLike",
        "FP32 FP16 BF16 FP8 INT32 INT64": "Mean",
        "FP32 FP16 BF16 INT8 INT32 INT64": "Gelu",
        "FP8 INT4 INT8": "DequantizeLinear",
    },
}

_NAMES = {
    ir.DataType.FLOAT: "FP32",
    ir.DataType.FLOAT16: "FP16",
    ir.DataType.BFLOAT16: "BF16",
    ir.DataType.INT4: "INT4",
    ir.DataType.INT8: "INT8",
    ir.DataType.UINT8: "UINT8",
    ir.DataType.INT32: "INT32",
    ir.DataType.INT64: "INT64",
    ir.DataType.BOOL: "BOOL",
}


def table_version(tensorrt: str) -> str:
    """The newest table that isn't newer than release ``tensorrt`` ("8.5.2"); raises ExportError below the
    oldest.
    """
    fitting = [version for version in SUPPORTED if _numbers(version) <= _numbers(tensorrt)]
    if not fitting:
        raise ExportError(
            f"format 'tensorrt': TensorRT {tensorrt} is too old: expected {next(iter(SUPPORTED))} or newer"
        )
    return fitting[-1]


def missing(tensorrt: str, operators: set[str]) -> frozenset[str]:
    """Those of ``operators`` that the parser of release ``tensorrt`` doesn't know."""
    known = {name for names in SUPPORTED[table_version(tensorrt)].values() for name in names.split()}
    return frozenset(operators - known)


def check_operators(model: ir.Model, tensorrt: str) -> None:
    """Raise ExportError at the first node that the parser of release ``tensorrt`` doesn't take.

    Every value must have its type, as shape inference leaves it.
    """
    version = table_version(tensorrt)
    types = {
        operator: set(kinds.split())
        for kinds, operators in SUPPORTED[version].items()
        for operator in operators.split()
    }
    for node in model.graph:
        where = f"format 'tensorrt': node {node.name!r} is {node.domain or 'ai.onnx'}::{node.op_type}"
        if node.domain or node.op_type not in types:
            raise ExportError(
                f"{where}, which the ONNX parser of TensorRT {version} doesn't know: "
                "express it with other operators, or leave this format out"
            )
        got = _type_of(node)
        # the parser reads 64-bit integers as 32-bit ones (the note at the head of the page)
        accepted = types[node.op_type] | ({"INT64"} if "INT32" in types[node.op_type] else set())
        if got is not None and got not in accepted:
            raise ExportError(
                f"{where} on {got}: TensorRT {version} takes {', '.join(sorted(types[node.op_type]))} there"
            )


def _type_of(node: ir.Node) -> str | None:
    """The type that a table entry speaks of; None where it has no say (shapes, conditions)."""
    if node.op_type in (
        "ConstantOfShape",
        "Constant",
        "Cast",
    ):  # a shape; nothing; any type that a graph can hold
        return None
    value = node.inputs[1] if node.op_type == "Where" else node.inputs[0]
    if value is None or value.dtype is None:
        return None
    return _NAMES.get(value.dtype, str(value.dtype))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
