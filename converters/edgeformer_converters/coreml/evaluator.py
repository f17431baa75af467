"""Running a saved MIL program in numpy, on any OS: how a Core ML variant is verified without an Apple device.

It computes what the file says: shapes, constants and decompressed weights come from the package alone.
Arithmetic is float32, or, with ``half``, rounded to float16 after each operation, as devices do at least.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..base import ExportError
from . import mil_ops_elementwise, mil_ops_neural, mil_ops_tensor
from .program import MilOperation, MilProgram

Array = NDArray[Any]

OPERATIONS: Mapping[str, Callable[..., Any]] = {
    **mil_ops_elementwise.OPERATIONS,
    **mil_ops_neural.OPERATIONS,
    **mil_ops_tensor.OPERATIONS,
}

_INPUT_TYPES: Mapping[str, type[np.generic]] = {"int32": np.int32, "fp32": np.float32, "fp16": np.float32}


@dataclass(frozen=True)
class _Step:
    """One operation made ready: arguments that are constant are values already."""

    function: Callable[..., Any]
    operation: MilOperation
    fixed: Mapping[str, Any]
    varying: Mapping[str, str | tuple[str, ...]]
    finished: tuple[str, ...] = ()  # values that no later step needs


class MilEvaluator:
    """The function ``main`` of an .mlpackage, loaded and ready to run; a ``LoadedModel``.

    Args:
        path: the .mlpackage directory.
        half: round every float result to float16.

    Raises:
        ExportError: the package can't be read, or holds an operator that isn't in ``OPERATIONS``.
    """

    def __init__(self, path: Path, half: bool = False) -> None:
        program = MilProgram.load(Path(path))
        self.label = "numpy evaluation of the saved MIL program, not run on a device"
        self.delegation: tuple[str, ...] = ()
        self._half = half
        self._input_shapes = program.input_shapes
        self._input_types = program.input_types
        self._output_names = program.output_names
        self._constants = {name: _as_float32(value) for name, value in program.constants.items()}
        self._steps = self._prepare(program)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference.

        Args:
            feeds: {input name: array}, of a shape that the program declares; dtypes are cast to the file's.

        Returns:
            {output name: array}: float32, or int32.

        Raises:
            ExportError: a missing or unknown input, a shape that isn't declared, or values out of range.
        """
        values = {**self._constants, **self._checked(feeds)}
        with _one_thread():
            for step in self._steps:
                _execute(step, values, self._half)
        return {name: np.asarray(values[name]) for name in self._output_names}

    def close(self) -> None:
        """Release weights and constants."""
        self._constants = {}
        self._steps = ()

    def _prepare(self, program: MilProgram) -> tuple[_Step, ...]:
        """Turn operations into steps, evaluating at once those whose arguments are all constant."""
        steps: list[_Step] = []
        for operation in program.operations:
            if operation.type not in OPERATIONS:
                raise ExportError(
                    f"coreml evaluator: operator {operation.type!r} (result {operation.outputs[0]!r}) is not "
                    f"known: the package can't be verified without a device until it is added to OPERATIONS"
                )
            step = self._step(operation)
            if step.varying:
                steps.append(step)
            else:
                _execute(step, self._constants, self._half)
        needed = {name for step in steps for names in step.varying.values() for name in _names(names)}
        needed.update(self._output_names)
        self._constants = {name: value for name, value in self._constants.items() if name in needed}
        return _with_lifetimes(steps, set(self._output_names))

    def _step(self, operation: MilOperation) -> _Step:
        fixed: dict[str, Any] = {}
        varying: dict[str, str | tuple[str, ...]] = {}
        for key, names in operation.arguments.items():
            if isinstance(names, str):
                if names in self._constants:
                    fixed[key] = self._constants[names]
                else:
                    varying[key] = names
            elif all(name in self._constants for name in names):
                fixed[key] = [self._constants[name] for name in names]
            else:
                varying[key] = names
        return _Step(OPERATIONS[operation.type], operation, fixed, varying)

    def _checked(self, feeds: Mapping[str, np.ndarray]) -> dict[str, Any]:
        if not self._steps:
            raise ExportError("coreml evaluator: it is closed: load the package again")
        if set(feeds) != set(self._input_shapes):
            raise ExportError(
                f"coreml evaluator: fed {sorted(feeds)}, but the program takes {sorted(self._input_shapes)}"
            )
        values: dict[str, Any] = {}
        for name, array in feeds.items():
            if not self._input_shapes[name].allow(array.shape):
                raise ExportError(
                    f"coreml evaluator: input {name!r} has shape {list(array.shape)}, but the program "
                    f"declares {self._input_shapes[name]}: pad to one of the declared lengths"
                )
            values[name] = np.asarray(array).astype(_INPUT_TYPES[self._input_types[name]], copy=False)
        return values


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread inside the block.

    The products of one sample are small: several threads gain little on an idle machine, and where other
    processes use the cores, waiting for each other makes a run ten times slower.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _execute(step: _Step, values: dict[str, Any], half: bool) -> None:
    """Run one step on ``values``, put its results there, and drop what was needed for the last time."""
    arguments = {
        key: values[names] if isinstance(names, str) else [values[name] for name in names]
        for key, names in step.varying.items()
    }
    operation = step.operation
    try:
        result = step.function(**step.fixed, **arguments)
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise ExportError(
            f"coreml evaluator: operator {operation.type!r} (result {operation.outputs[0]!r}) failed: {error}"
        ) from error
    results = result if isinstance(result, tuple) else (result,)
    for name, value in zip(operation.outputs, results, strict=True):
        values[name] = _rounded_to_half(value) if half else value
    for name in step.finished:
        del values[name]


def _with_lifetimes(steps: list[_Step], kept: set[str]) -> tuple[_Step, ...]:
    """Tell each step which values it is the last to need, so that they don't pile up."""
    seen = set(kept)
    reversed_steps = []
    for step in reversed(steps):
        used = {name for names in step.varying.values() for name in _names(names)}
        used.update(step.operation.outputs)
        reversed_steps.append(replace(step, finished=tuple(sorted(used - seen))))
        seen |= used
    return tuple(reversed(reversed_steps))


def _names(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _as_float32(value: Any) -> Any:
    """Float constants as float32, the rest as it is."""
    if isinstance(value, np.ndarray | np.generic) and np.issubdtype(value.dtype, np.floating):
        return value.astype(np.float32)
    return value


def _rounded_to_half(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic) and value.dtype == np.float32:
        with np.errstate(over="ignore"):  # infinity is what float16 arithmetic gives
            return value.astype(np.float16).astype(np.float32)
    return value
