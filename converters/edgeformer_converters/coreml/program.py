"""A saved MIL program as plain Python data: what ``read_weights`` and the evaluator look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base import ExportError
from ..quiet import quiet

Shape = tuple[int, ...]


@dataclass(frozen=True)
class MilOperation:
    """One operation of ``main``. Arguments are names of outputs, of the program's inputs, or of constants."""

    type: str
    outputs: tuple[str, ...]
    arguments: Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True)
class InputShapes:
    """The shapes that a program declares for one input: a list of them, or a range for each dimension."""

    enumerated: tuple[Shape, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()  # inclusive; the upper bound -1 means any size

    def allow(self, shape: Shape) -> bool:
        """Whether an array of ``shape`` may be fed."""
        if self.enumerated:
            return shape in self.enumerated
        bounded = zip(shape, self.ranges, strict=False)
        return len(shape) == len(self.ranges) and all(
            low <= n and (high < 0 or n <= high) for n, (low, high) in bounded
        )

    def __str__(self) -> str:
        if self.enumerated:
            return " or ".join(str(list(shape)) for shape in self.enumerated)
        parts = (str(low) if low == high else f"{low}…{high if high >= 0 else ''}" for low, high in self.ranges)
        return f"[{', '.join(parts)}]"


@dataclass(frozen=True)
class MilProgram:
    """The function ``main`` of an .mlpackage."""

    operations: tuple[MilOperation, ...]  # without constants, in an order in which they can be executed
    constants: Mapping[str, Any]  # numpy arrays and scalars, str, bool
    constant_types: Mapping[str, str]  # MIL's names: "int4", "int8", "fp16"
    input_shapes: Mapping[str, InputShapes]
    input_types: Mapping[str, str]
    output_names: tuple[str, ...]
    metadata: Mapping[str, str]

    @classmethod
    def load(cls, path: Path) -> MilProgram:
        """Read an .mlpackage; raises ExportError when ``path`` isn't one that holds an ML program."""
        if not (path / "Manifest.json").is_file():
            raise ExportError(f"coreml: {path.name!r} is not an .mlpackage: it has no Manifest.json")
        with quiet():
            import coremltools as ct
            from coremltools.converters.mil.frontend.milproto.load import load

            try:
                model = ct.models.MLModel(str(path), skip_model_load=True)
                specification = model.get_spec()
                program = load(specification, specification.specificationVersion, model.weights_dir)
            except Exception as error:  # whatever a damaged file makes the loader hit
                first = str(error).splitlines()[:1]
                raise ExportError(f"coreml: {path.name!r} can't be read as an ML program: {first}") from error
            return cls._from_loaded(program.functions["main"], specification.description)

    @classmethod
    def _from_loaded(cls, main: Any, description: Any) -> MilProgram:
        from coremltools.converters.mil.mil import types

        constants = [operation for operation in main.operations if operation.op_type == "const"]
        return cls(
            operations=tuple(_operation(each) for each in main.operations if each.op_type != "const"),
            constants={each.outputs[0].name: each.outputs[0].val for each in constants},
            constant_types={each.outputs[0].name: types.builtin_to_string(each.outputs[0].dtype) for each in constants},
            input_shapes={each.name: _input_shapes(each.type.multiArrayType) for each in description.input},
            input_types={name: types.builtin_to_string(each.dtype) for name, each in main.inputs.items()},
            output_names=tuple(each.name for each in main.outputs),
            metadata=dict(description.metadata.userDefined),
        )

    def operator_types(self) -> Iterator[str]:
        """The type of each operation."""
        return (operation.type for operation in self.operations)


def _operation(loaded: Any) -> MilOperation:
    arguments = {
        key: tuple(each.name for each in value) if isinstance(value, list | tuple) else value.name
        for key, value in loaded.inputs.items()
        if value is not None
    }
    return MilOperation(loaded.op_type, tuple(each.name for each in loaded.outputs), arguments)


def _input_shapes(array_type: Any) -> InputShapes:
    """From the three forms of the specification's ``multiArrayType``."""
    flexibility = array_type.WhichOneof("ShapeFlexibility")
    if flexibility == "enumeratedShapes":
        shapes = array_type.enumeratedShapes.shapes
        return InputShapes(enumerated=tuple(sorted(tuple(each.shape) for each in shapes)))
    if flexibility == "shapeRange":
        ranges = array_type.shapeRange.sizeRanges
        return InputShapes(ranges=tuple((each.lowerBound, each.upperBound) for each in ranges))
    return InputShapes(enumerated=(tuple(array_type.shape),))
